"""How a configuration, a seed and a budget reach the command: words, variables, a file, or a copy of its script."""

from __future__ import annotations

import fnmatch
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoresearch.config.command import PLACEHOLDER, CommandSettings
from autoresearch.config.secrets import without_secrets
from autoresearch.core.toml import toml_key, toml_value
from autoresearch.core.values import Cfg, KnobValue
from autoresearch.trials.command.constants import (
    ScriptError,
    constant_of_knob,
    read_constants,
    replace_constants,
)
from autoresearch.trials.command.script_file import read_script, write_copy

# What a program needs to find itself, its libraries and the devices; everything else is listed in command.env.
ALWAYS_PASSED = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_*", "TZ", "TMPDIR", "XDG_*_HOME", "LD_LIBRARY_PATH",
    "VIRTUAL_ENV", "CONDA_PREFIX", "CUDA_HOME", "CUDA_VISIBLE_DEVICES", "NVIDIA_*",
)  # fmt: skip
FLAGS = "{flags}"


class HandoverError(ValueError):
    """The configuration cannot be handed over: the message names the word, the file or the constant."""


@dataclass(frozen=True, slots=True)
class Handover:
    """What a trial of one configuration runs."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


def hand_over(
    settings: CommandSettings, cfg: Cfg, seed: int, budget: float, folder: Path, environ: Mapping[str, str]
) -> Handover:
    """Write what the command reads into ``folder``, and return its words and variables. Raises ``HandoverError``."""
    places = {"trial": str(folder), "seed": str(seed), "budget": format_value(whole(budget)), "config": ""}
    env = passed_environment(settings.env, environ)
    extra = [*_filled(settings.seed_flag or (), places), *_filled(settings.budget_flag or (), places)]
    for name, value in ((settings.seed_env, places["seed"]), (settings.budget_env, places["budget"])):
        if name is not None:
            env[name] = value
    words = list(settings.argv or ())
    match settings.config:
        case "flags":
            extra = [*(word for knob, value in cfg.items() for word in flag_words(settings.flag, knob, value)), *extra]
        case "env":
            env |= _variables(settings.variable, cfg)
        case "file":
            places["config"] = str(_write_file(settings.format, cfg, folder))
        case "constants":
            place, script = find_script(settings)
            _copy_script(settings, script, cfg, seed, budget, folder / script.name)
            words[place] = str(folder / script.name)
            env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(script.parent), env.get("PYTHONPATH", ""))))
    return Handover(tuple(_with_flags(words, extra, places)), env)


def flag_words(template: Sequence[str], knob: str, value: KnobValue) -> list[str]:
    """The words of one knob."""
    names = {"knob": knob, "KNOB": knob.upper(), "kebab": knob.replace("_", "-"), "value": format_value(value)}
    return _filled(template, names)


def variable_name(template: str, knob: str) -> str:
    """The name of one knob's variable."""
    return _filled([template], {"knob": knob, "KNOB": knob.upper()})[0]


def _variables(template: str, cfg: Cfg) -> dict[str, str]:
    """The variables of all knobs. Raises ``HandoverError`` for one that would replace what programs need, as PATH."""
    found = {variable_name(template, knob): format_value(value) for knob, value in cfg.items()}
    if needed := [name for name in found if any(fnmatch.fnmatchcase(name, p) for p in ALWAYS_PASSED)]:
        raise HandoverError(f"variable {needed[0]} is one that programs need; with command.variable knobs get others")
    return found


def format_value(value: KnobValue) -> str:
    """A value as a command line has it. A float keeps its point: nanoGPT and its kin compare the types."""
    return repr(value) if isinstance(value, float) else str(value)


def whole(value: float) -> int | float:
    """A whole number as an int."""
    return int(value) if float(value).is_integer() else value


def passed_environment(entries: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that the command gets: never a secret of this program, whatever a pattern matches."""
    known = without_secrets(environ)
    passed = {name: known[name] for name in known if any(fnmatch.fnmatchcase(name, p) for p in ALWAYS_PASSED)}
    for entry in entries:
        name, given, value = entry.partition("=")
        if given:
            passed[name] = value
        else:
            passed |= {found: known[found] for found in known if fnmatch.fnmatchcase(found, name)}
    return passed


def find_script(settings: CommandSettings) -> tuple[int, Path]:
    """The place in argv of the script whose constants are replaced, and its absolute path. Raises ``HandoverError``."""
    words = settings.argv or ()
    named = [n for n, word in enumerate(words) if word == settings.script or (not settings.script and is_script(word))]
    if not named:
        wanted = f"{settings.script!r}" if settings.script else "a script, NAME.py"
        raise HandoverError(f"no word of command.argv is {wanted}, whose constants could be replaced")
    if len(named) > 1 and not settings.script:
        raise HandoverError(f"{' and '.join(words[n] for n in named)} are scripts: name one with command.script")
    return named[0], Path(os.path.abspath(settings.cwd / words[named[0]]))


def check_constants(settings: CommandSettings, names: Sequence[str]) -> str:
    """Why these knobs are not constants that can be replaced; empty if they are, or if no constant is."""
    if settings.config != "constants":
        return ""
    try:
        _, script = find_script(settings)
    except HandoverError as e:
        return str(e)
    try:
        known = read_constants(read_script(script))
        for name in (*names, *filter(None, (settings.seed_constant, settings.budget_constant))):
            constant_of_knob(name, known)
    except ScriptError as e:
        return f"{script}: {e}"
    return ""


def _copy_script(settings: CommandSettings, script: Path, cfg: Cfg, seed: int, budget: float, copy: Path) -> None:
    """Write the script with this configuration's constants; the original is only read."""
    try:
        source = read_script(script)
        known = read_constants(source)
        values: dict[str, object] = {constant_of_knob(knob, known).name: value for knob, value in cfg.items()}
        for name, value in ((settings.seed_constant, seed), (settings.budget_constant, budget)):
            if name is not None:
                values[constant_of_knob(name, known).name] = whole(value)
        text = replace_constants(source, values, str(script))
        write_copy(text, source, script, copy)
    except ScriptError as e:
        raise HandoverError(f"{script}: {e}") from e


def _write_file(kind: str, cfg: Cfg, folder: Path) -> Path:
    path = folder / f"config.{kind}"
    lines = [f"{toml_key(name)} = {toml_value(value)}\n" for name, value in cfg.items()]
    text = json.dumps(cfg, indent=2) + "\n" if kind == "json" else "".join(lines)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as e:
        raise HandoverError(f"cannot write {path}: {e.strerror}") from e
    return path


def _with_flags(words: Sequence[str], extra: Sequence[str], places: Mapping[str, str]) -> list[str]:
    """The words with the extra ones in the place of ``{flags}``, or at the end."""
    if FLAGS not in words:
        return [*_filled(words, places), *extra]
    at = words.index(FLAGS)
    return [*_filled(words[:at], places), *extra, *_filled(words[at + 1 :], places)]


def _filled(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """``words`` with known placeholders replaced; other braces stay."""
    return [PLACEHOLDER.sub(lambda m: values.get(m[1], m[0]), word) for word in words]


def is_script(word: str) -> bool:
    """Whether a word of argv names a Python script."""
    return word.endswith(".py") and not word.startswith("-")
