"""The table [command]: how trainer ``command`` runs the user's own script, and how its metric comes back."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from autoresearch.config.section import Section

BITS_PER_BYTE = "val_bpb"  # the name of the metric that is in val_bpb of the records
ENV_ENTRY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\*|=.*)?", re.DOTALL)
PLACEHOLDER = re.compile(r"\{(\w+)\}")
Words = tuple[str, ...]
STEP = "step"  # the group of progress_pattern whose total is budget.size, in steps
HANDED_OVER = ("flag", "env", "constant")  # how a seed and a budget may be handed over


def split_words(value: Any) -> Any:
    """A command given as one string, split as a shell would, without running one."""
    return shlex.split(value) if isinstance(value, str) else value


class CommandSettings(Section):
    """Trainer ``command``: what to run, how it gets a configuration, and what it returns (docs/any-trainer.md)."""

    argv: Words | None = Field(
        None,
        description="the training command, without a shell; {flags}, {config}, {trial}, {seed}, {budget} are replaced",
    )
    cwd: Path = Field(Path("."), description="directory in which it runs")
    env: Words = Field(
        (),
        description="variables that it gets beside PATH, HOME and a few others: NAME, PREFIX_* or NAME=VALUE",
    )
    config: Literal["flags", "env", "file", "constants"] = Field(
        "flags",
        description="how it gets a configuration: flags, variables, a file ({config} in argv), or constants of a copy "
        "of its script",
    )
    flag: Words = Field(
        ("--{knob}={value}",), description="config = flags: the words of one knob; {knob}, {KNOB}, {kebab}, {value}"
    )
    variable: str = Field("{KNOB}", description="config = env: the name of one knob's variable")
    format: Literal["json", "toml"] = Field("json", description="config = file: its format")
    script: str | None = Field(
        None, description="config = constants: the word of argv that names the script; the only .py if not given"
    )
    metric: Annotated[str, Field(pattern=r"^[A-Za-z][\w./@:-]{0,59}$")] = Field(
        BITS_PER_BYTE, description="name of the metric; val_bpb is bits per byte, everything else goes by its own name"
    )
    unit: Annotated[str, Field(max_length=20)] | None = Field(None, description="unit of the metric, for people")
    direction: Literal["lower", "higher"] = Field("lower", description="which values of the metric are better")
    metric_pattern: str | None = Field(
        None,
        description="regular expression whose first group is the metric, searched in each line of stdout; the last "
        "match counts; lines METRIC name=value if neither this nor metric_file is given",
    )
    metric_file: str | None = Field(
        None, description="JSON file with the metric, relative to cwd, or in {trial}/; instead of metric_pattern"
    )
    progress_pattern: str | None = Field(
        None,
        description="regular expression for progress: two groups are done and total, one is per cent; one named "
        "(?P<step>...) is a part of the budget in steps",
    )
    peak_memory_pattern: str | None = Field(
        None, description="regular expression for the peak memory; the memory of its processes if not given"
    )
    peak_memory_unit: Literal["B", "KiB", "MiB", "GiB"] = Field("MiB", description="unit of peak_memory_pattern")
    tokens_pattern: str | None = Field(None, description="regular expression for the tokens that it trained on")
    tokens_scale: Annotated[float, Field(gt=0)] = Field(1, description="factor to tokens, for example 1e6 for millions")
    checks: Words | None = Field(
        None, description="command that must end with 0 before a measurement counts; it runs as the training command"
    )
    seed_flag: Words | None = Field(None, description="words that hand over the seed, for example --seed={seed}")
    seed_env: str | None = Field(None, description="variable that hands over the seed")
    seed_constant: str | None = Field(None, description="constant of the script that is the seed")
    budget_flag: Words | None = Field(None, description="words that hand over budget.size; the script's own if none is")
    budget_env: str | None = Field(None, description="variable that hands over budget.size")
    budget_constant: str | None = Field(None, description="constant of the script that is budget.size")
    files: Words | None = Field(
        None,
        description="files that it reads, as globs relative to cwd; a change of one ends the run. If not given: what "
        "git tracks in cwd, untracked .py files, the files that argv names, and the modules that these import",
    )
    ignore: Words = Field((), description="globs of files that may change, for example logs that git tracks")
    versions: Words | None = Field(
        None, description="command that prints versions, a line 'name version' each, for the yardstick"
    )

    @field_validator("argv", "checks", "versions", "flag", "seed_flag", "budget_flag", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return split_words(value)

    @field_validator("argv", "checks", "versions")
    @classmethod
    def _command(cls, words: Words | None) -> Words | None:
        if words is not None and (not words or not words[0] or any("\0" in word for word in words)):
            raise ValueError("give a command and its arguments, for example ['python3', 'train.py']")
        return words

    @field_validator("env", "files", "ignore", mode="before")
    @classmethod
    def _one_word(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("env")
    @classmethod
    def _env(cls, entries: Words) -> Words:
        if bad := [entry for entry in entries if not ENV_ENTRY.fullmatch(entry) or "\0" in entry]:
            raise ValueError(f"{bad[0]!r} is not NAME, PREFIX_* or NAME=VALUE")
        return entries

    @field_validator("metric_pattern", "progress_pattern", "peak_memory_pattern", "tokens_pattern")
    @classmethod
    def _pattern(cls, text: str | None, info: Any) -> str | None:
        if text is None:
            return None
        try:
            groups = re.compile(text).groups
        except (re.error, RecursionError, OverflowError) as e:
            raise ValueError(f"it is not a regular expression: {e}") from e
        most = 2 if info.field_name == "progress_pattern" else 1
        if not 1 <= groups <= most:
            wanted = "one group or two" if most == 2 else "one group, (...), around the number"
            raise ValueError(f"it has {groups} groups; {wanted} are needed" if most == 2 else f"it needs {wanted}")
        return text

    @field_validator("flag", "seed_flag", "budget_flag", "variable")
    @classmethod
    def _template(cls, value: Any, info: Any) -> Any:
        words = (value,) if isinstance(value, str) else value or ()
        known = {"flag": {"knob", "KNOB", "kebab", "value"}, "variable": {"knob", "KNOB"}}
        allowed = known.get(info.field_name, {info.field_name.partition("_")[0]})
        found = {name for word in words for name in PLACEHOLDER.findall(word)}
        if unknown := sorted(found - allowed):
            raise ValueError(f"{{{unknown[0]}}} is unknown; {', '.join(f'{{{n}}}' for n in sorted(allowed))} are known")
        if value is not None and not found & (allowed - {"value"}):
            raise ValueError(f"it names no {' or '.join(f'{{{n}}}' for n in sorted(allowed - {'value'}))}")
        if info.field_name == "flag" and "value" not in found:
            raise ValueError("{value} is missing")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.metric == BITS_PER_BYTE and self.direction == "higher":
            raise ValueError("metric = 'val_bpb' is bits per byte, of which less is better; name the metric otherwise")
        if self.metric_pattern is not None and self.metric_file is not None:
            raise ValueError("metric_pattern and metric_file exclude each other")
        for what in ("seed", "budget"):
            given = [how for how in HANDED_OVER if getattr(self, f"{what}_{how}") is not None]
            if len(given) > 1:
                raise ValueError(f"{' and '.join(f'{what}_{how}' for how in given)} exclude each other")
            if given == ["constant"] and self.config != "constants":
                raise ValueError(f"{what}_constant needs config = 'constants'")
        if self.script is not None and self.config != "constants":
            raise ValueError("script needs config = 'constants'")
        names_file = any("{config}" in word for word in self.argv or ())
        if self.argv and names_file != (self.config == "file"):
            what = "needs config = 'file'" if names_file else "is missing, by which the script finds its file"
            raise ValueError(f"{{config}} in argv {what}")
        return self

    @property
    def is_seeded(self) -> bool:
        """Whether the command gets a seed."""
        given = any(getattr(self, f"seed_{how}") is not None for how in HANDED_OVER)
        return given or any("{seed}" in word for word in self.argv or ())

    @property
    def owns_budget(self) -> bool:
        """Whether the script keeps its own budget, because none is handed over."""
        given = any(getattr(self, f"budget_{how}") is not None for how in HANDED_OVER)
        return not given and not any("{budget}" in word for word in self.argv or ())

    @property
    def counts_steps(self) -> bool:
        """Whether the total of its progress is ``budget.size``, in steps."""
        return self.progress_pattern is not None and STEP in re.compile(self.progress_pattern).groupindex
