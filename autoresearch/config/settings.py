"""Settings of a run: frozen, checked on construction, one model per section of the TOML file."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from autoresearch.config.secrets import KEY_VARIABLE
from autoresearch.config.window import Window

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
    reports: tuple[Literal["text", "html"], ...] = Field(
        ("text", "html"), description="reports that a run writes at its end; html only where its extra is installed"
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
