"""Settings: profile TOML < the user's TOML < environment < flags; frozen, checked, and each with its origin.

A setting is named by its dotted path (``budget.size``). In the environment it is ``AUTORESEARCH_BUDGET__SIZE``.
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from autoresearch.environment import KEY_VARIABLE, SECRETS
from autoresearch.errors import ConfigError
from autoresearch.window import Window

ENV_PREFIX = "AUTORESEARCH_"
DEFAULT_PROFILE = "tiny"
HookEvent = Literal["best", "paused", "failed", "finished", "died"]
HOOK_EVENTS: tuple[HookEvent, ...] = get_args(HookEvent)


def _meant(value: Any) -> Any:
    """Refuse what would be taken for something else: true for 1, and no text for the current directory."""
    if isinstance(value, bool):
        raise ValueError("true and false are no value of any setting")
    if value == "":
        raise ValueError("it is empty; leave it out to take the default")
    return value


class Section(BaseModel):
    """Frozen; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    _every_field = field_validator("*", mode="before")(_meant)


class TokenizerSettings(Section):
    """How ``--corpus stdlib`` is tokenized; a prepared corpus brings its own tokenizer."""

    kind: Literal["byte", "bpe", "gpt2"] = Field(
        "byte", description="tokenizer of a corpus that the run prepares itself"
    )
    vocab_size: Annotated[int, Field(ge=257, le=1 << 20)] = Field(2048, description="size of a bpe vocabulary")


class BudgetSettings(Section):
    """How long each trial trains."""

    kind: Literal["steps", "tokens", "seconds"] = Field("steps", description="what the training budget counts")
    size: Annotated[float, Field(gt=0)] = Field(60, description="how many of them")

    @field_validator("size")
    @classmethod
    def _whole(cls, size: float, info: Any) -> float:
        if info.data.get("kind") in ("steps", "tokens") and size != int(size):
            raise ValueError(f"{size} {info.data['kind']}: a whole number is needed")
        return size


class EvalSettings(Section):
    """The yardstick's span."""

    bytes: Annotated[int, Field(ge=1024)] = Field(131072, description="bytes of validation text that are scored")


class DecisionSettings(Section):
    """Keep or revert."""

    accept_delta_frac: Annotated[float, Field(ge=0, lt=1)] = Field(0.005, description="relative gain that a keep needs")


class LimitSettings(Section):
    """What a trial and a proposer may take."""

    deadline_s: Annotated[float, Field(gt=0)] = Field(600, description="seconds after which a trial is killed")
    max_time_ratio: Annotated[float, Field(gt=0)] = Field(3.0, description="R7: most time over the baseline's")
    memory_gib: Annotated[float, Field(gt=0)] | None = Field(
        None, description="cap on a trial's memory, else what is free"
    )
    max_attempts: Annotated[int, Field(ge=1, le=100)] = Field(4, description="replies asked for in one iteration")


class ParallelSettings(Section):
    """The ranks that train one model together; a rank is a process, on a GPU box one per GPU."""

    data: Annotated[int, Field(ge=1, le=1024)] = Field(1, description="ranks that share out each batch")
    tensor: Annotated[int, Field(ge=1, le=64)] = Field(1, description="ranks that share out each matrix (megatron)")


class MegatronSettings(Section):
    """What only trainer megatron knows."""

    fp8_recipe: Literal["tensorwise", "delayed", "blockwise", "mxfp8"] = Field(
        "tensorwise", description="how fp8 values are scaled; mxfp8 needs a B200 (not GB10), blockwise CUDA 12.9"
    )


class LlmSettings(Section):
    """The LLM server that proposes. Its key is no setting: it would stand in logs (``llm.key``)."""

    base_url: str = Field("http://localhost:8000/v1", description="OpenAI-compatible server: NIM, vLLM, llama.cpp, ...")
    model: str | None = Field(None, description="its name on the server; the only or first one if not given")
    deadline_s: Annotated[float, Field(gt=0, le=3600)] = Field(60, description="seconds that one call may take in all")
    share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.3, description="hybrid: share of the iterations that the LLM is asked for; TPE has the others"
    )
    rounds: Annotated[int, Field(ge=1, le=10)] = Field(3, description="replies asked for before the fallback proposes")
    proposals: Annotated[int, Field(ge=1, le=10)] = Field(3, description="proposals asked for in one reply")
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(0.7, description="of its sampling")
    max_tokens: Annotated[int, Field(ge=0, le=1 << 20)] = Field(
        0, description="most tokens of one reply, thinking included; 0 takes an eighth of the context, at most 8192"
    )
    max_model_len: Annotated[int, Field(ge=0, le=1 << 24)] = Field(
        0, description="tokens of the server's context; 0 takes what /v1/models says, else 8192"
    )
    system: str | None = Field(None, description="a system message, as /no_think for Nemotron Nano; none if not given")

    @field_validator("base_url")
    @classmethod
    def _url(cls, url: str) -> str:
        if any(mark in url for mark in "@?#"):  # not urlsplit's idea of a password: it ends at a slash
            raise ValueError(f"a name, a password or a query in it would be logged; give a key as {KEY_VARIABLE}")
        parts = urlsplit(url)
        is_plain = url.isprintable() and " " not in url
        if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain:
            raise ValueError("give http://HOST:PORT/v1")
        if parts.port == 0:  # of a port that is none, urllib says so
            raise ValueError("port 0 is no port")
        return url.rstrip("/")


class EnergySettings(Section):
    """Joules, and what they cost."""

    meter: Literal["auto", "off"] = Field("auto", description="auto: by the best sensor of power or energy there is")
    sensor: Path | None = Field(None, description="a file with the microwatts of the whole system, better than any")
    price_per_kwh: Annotated[float, Field(ge=0)] | None = Field(None, description="what a kWh costs, for the report")
    currency: Annotated[str, Field(max_length=8)] | None = Field(None, description="of that price, as EUR")
    max_kwh: Annotated[float, Field(gt=0)] | None = Field(
        None, description="end in good order after this much, of what the sensor sees; the whole run counts"
    )


class Settings(Section):
    """Everything that a run is told."""

    profile: str = Field(DEFAULT_PROFILE, description="which set of defaults")
    dir: Path | None = Field(None, description="the run's directory; runs/PROFILE if not given")
    corpus: str | None = Field(None, description="a prepared corpus, or 'stdlib' to prepare that in the run directory")
    iters: Annotated[int, Field(ge=1)] = Field(50, description="iterations of the whole run; raise it to continue")
    proposer: Literal["auto", "hybrid", "nim", "tpe", "random", "replay"] = Field(
        "auto", description="who suggests changes; auto: hybrid where an LLM server answers, else tpe"
    )
    replay_from: Path | None = Field(
        None, description="trajectory or exchanges.jsonl whose proposals the replay proposer repeats"
    )
    trainer: Literal["torch", "megatron"] = Field("torch", description="what trains the GPT")
    compile: Literal["auto", "on", "off"] = Field(
        "auto", description="torch.compile the layers; auto: where measured times say that each trial earns it back"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where it trains")
    threads: Annotated[int, Field(ge=0, le=1024)] = Field(
        0, description="CPU threads of a trial; 0 takes every usable core"
    )
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = Field(
        0, description="seed of initialisation, data order and proposer"
    )
    on_pause: Literal["wait", "exit"] = Field("wait", description="what pause.flag does to the process")
    pause_mode: Literal["after_trial", "now"] = Field(
        "after_trial", description="when pause.flag takes hold; now: the running trial is put aside at its next step"
    )
    drain_max_s: Annotated[float, Field(ge=0)] | None = Field(
        None, description="seconds that a stop waits for the running trial, which is then put aside; none: to its end"
    )
    until: str | None = Field(None, description="end in good order at this local time, HH:MM")
    window: str | None = Field(
        None, description="end in good order outside these hours of the local clock, as 22:00-07:00"
    )
    max_hours: Annotated[float, Field(gt=0)] | None = Field(
        None, description="end in good order after this many hours; a restart after a crash counts anew"
    )
    on_event: str | tuple[str, ...] | None = Field(
        None, description="command that is told what happens, as JSON on its stdin (docs/hooks.md); no shell runs it"
    )
    on_event_only: tuple[HookEvent, ...] = Field(HOOK_EVENTS, description="which events it is told of")
    on_event_timeout_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        30, description="seconds after which it is ended, with everything that it started"
    )
    tokenizer: TokenizerSettings = TokenizerSettings()  # type: ignore[call-arg]
    budget: BudgetSettings = BudgetSettings()  # type: ignore[call-arg]
    eval: EvalSettings = EvalSettings()  # type: ignore[call-arg]
    decision: DecisionSettings = DecisionSettings()  # type: ignore[call-arg]
    limits: LimitSettings = LimitSettings()  # type: ignore[call-arg]
    parallel: ParallelSettings = ParallelSettings()  # type: ignore[call-arg]
    megatron: MegatronSettings = MegatronSettings()  # type: ignore[call-arg]
    llm: LlmSettings = LlmSettings()  # type: ignore[call-arg]
    energy: EnergySettings = EnergySettings()  # type: ignore[call-arg]
    baseline: dict[str, Annotated[int | float | str, BeforeValidator(_meant)]] = Field(
        {}, description="the fixed configuration, one value per knob"
    )
    menu_file: Path | None = Field(None, description="a menu of your own instead of the package's")
    menu: dict[str, Any] = Field({}, description="changes to entries of the menu, as menu.knobs.NAME.FIELD")

    @field_validator("until")
    @classmethod
    def _clock_time(cls, until: str | None) -> str | None:
        if until is not None and not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", until):
            raise ValueError(f"{until!r} is no time of day; give HH:MM, as in 06:30")
        return until

    @field_validator("window")
    @classmethod
    def _window(cls, window: str | None) -> str | None:
        return None if window is None else str(Window.parsed(window))

    @field_validator("on_event")
    @classmethod
    def _command(cls, command: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        words = shlex.split(command) if isinstance(command, str) else command
        if words is not None and (not words or not words[0] or any("\0" in word for word in words)):
            raise ValueError("a command and its arguments, as in 'notify.sh' or ['mail', '-s', 'autoresearch', 'me']")
        return command

    @field_validator("on_event_only", mode="before")
    @classmethod
    def _names(cls, names: Any) -> Any:
        return [name.strip() for name in names.split(",")] if isinstance(names, str) else names

    @property
    def run_dir(self) -> Path:
        """Where the run lives."""
        return self.dir or Path("runs") / self.profile


@dataclass(frozen=True, slots=True)
class Resolved:
    """Settings and, for each dotted name that was given, where it came from."""

    settings: Settings
    origins: Mapping[str, str]


def profile_names() -> list[str]:
    """The profiles that come with the package."""
    files = (resources.files("autoresearch") / "profiles").iterdir()
    return sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml"))


def resolve(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    file: Path | None = None,
    default_profile: str = DEFAULT_PROFILE,
) -> Resolved:
    """Merge the four layers. Raises ``ConfigError`` naming field, value and origin, and the nearest valid name."""
    upper = [(f"file {file}", _read_toml(file))] if file else []
    upper += [(f"environment {name}", layer) for name, layer in _from_environment(environ)]
    upper += [("flag", _nest(flags))]
    profile = next((layer["profile"] for _, layer in reversed(upper) if "profile" in layer), default_profile)
    defaults = {"profile": profile, **_profile(str(profile))}
    if any("menu_file" in layer for _, layer in upper):
        defaults.pop("menu", None)  # a menu of one's own replaces the package's and what the profile changes in that
    layers = [(f"profile {profile}", defaults), *upper]
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        _check_names(layer, origin)
        _merge(merged, layer)
        origins |= dict.fromkeys(_dotted(layer), origin)
    try:
        return Resolved(Settings.model_validate(merged), origins)
    except ValidationError as e:
        raise _first_error(e, origins) from e


def setting_names() -> list[str]:
    """Every dotted name, for help and for the nearest match."""
    names: list[str] = []
    for name, field in Settings.model_fields.items():
        section = field.annotation
        is_section = isinstance(section, type) and issubclass(section, Section)
        names += [f"{name}.{inner}" for inner in section.model_fields] if is_section else [name]  # type: ignore[union-attr]
    return names


def flat_settings(resolved: Resolved) -> list[tuple[str, Any, str, str]]:
    """Every setting as (dotted name, value, where it came from, what it is)."""
    rows: list[tuple[str, Any, str, str]] = []
    for name, value in _leaves(resolved.settings.model_dump(mode="json")):
        rows.append((name, value, resolved.origins.get(name, "default"), _description(name)))
    return rows


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _description(name: str) -> str:
    section, _, inner = name.partition(".")
    field = Settings.model_fields[section]
    if inner and isinstance(field.annotation, type) and issubclass(field.annotation, Section):
        field = field.annotation.model_fields[inner]
    return field.description or ""


def parse_assignment(text: str) -> tuple[str, Any]:
    """``NAME=VALUE`` of ``--set``: the value is TOML where it can be read as such, else a plain string."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text}: no '='", hint="write --set budget.size=300")
    return name.strip(), _toml_value(value.strip())


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return text


def _profile(name: str) -> dict[str, Any]:
    if name not in profile_names():
        raise ConfigError(
            f"profile = {name!r} is not one of {', '.join(profile_names())}", hint=_nearest(name, profile_names())
        )
    return tomllib.loads((resources.files("autoresearch") / "profiles" / f"{name}.toml").read_text())


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as e:
        raise ConfigError(f"cannot read {path}: {e.strerror}") from e
    except (ValueError, RecursionError) as e:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise ConfigError(f"{path} is not TOML: {e}") from e


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in sorted(environ):
        if name.startswith(ENV_PREFIX) and name not in SECRETS:
            dotted = name.removeprefix(ENV_PREFIX).lower().replace("__", ".")
            yield name, _nest({dotted: _toml_value(environ[name])})


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """``{"budget.size": 3}`` as ``{"budget": {"size": 3}}``."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        table = nested
        for key in path:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{name} goes below a value", hint="see `autoresearch config`")
        table[last] = value
    return nested


def _merge(into: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        replaces = isinstance(value, Mapping) and "type" in value  # a knob of another kind shares no field
        if isinstance(value, Mapping) and isinstance(into.get(key), dict) and not replaces:
            _merge(into[key], value)
        else:
            into[key] = json.loads(json.dumps(value, default=str)) if isinstance(value, Mapping) else value


def _dotted(layer: Mapping[str, Any]) -> list[str]:
    return [name for name, _ in _leaves(layer)]


def _check_names(layer: Mapping[str, Any], origin: str) -> None:
    known = setting_names()
    sections = {name.partition(".")[0] for name in known}
    for name, value in _leaves(layer):
        free = name.startswith(("baseline.", "menu.")) or (value == {} and name in sections)
        if not free and name not in known:
            hint = f"a key is no setting: give it as {KEY_VARIABLE}" if name == "llm.key" else _nearest(name, known)
            raise ConfigError(f"unknown setting {name} ({origin})", hint=hint)


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else "`autoresearch config` lists every setting"


def _first_error(error: ValidationError, origins: Mapping[str, str]) -> ConfigError:
    first = error.errors(include_url=False)[0]
    parts = [str(p) for p in first["loc"]]
    name = next(
        (".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in origins), ".".join(parts)
    )
    why = first["msg"].removeprefix("Value error, ")
    shown = _without_password(repr(first["input"])) if name == "llm.base_url" else repr(first["input"])
    return ConfigError(f"{name} = {shown} ({origins.get(name, 'default')}): {why}")


def _without_password(shown: str) -> str:
    """A quoted URL without what is before its @ and behind its ? or #: the refusal of a secret is logged too."""
    before_at = re.sub(r"""(['"](?:\w+://)?).*@""", r"\1...@", shown)
    return re.sub(r"[?#].*(?=['\"])", "?...", before_at)
