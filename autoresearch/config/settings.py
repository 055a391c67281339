"""Settings of a run: frozen, checked on construction, one model per section of the TOML file."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, field_validator

from autoresearch.config.base_url import check_base_url
from autoresearch.config.climb import ClimbSettings
from autoresearch.config.command import CommandSettings
from autoresearch.config.section import Section as Section
from autoresearch.config.section import refuse_ambiguous
from autoresearch.config.window import Window

DEFAULT_PROFILE = "tiny"
HookEvent = Literal["best", "paused", "failed", "finished", "died"]
HOOK_EVENTS: tuple[HookEvent, ...] = get_args(HookEvent)


class TokenizerSettings(Section):
    """How ``--corpus stdlib`` is tokenized; a prepared corpus brings its own tokenizer."""

    kind: Literal["byte", "bpe", "gpt2"] = Field(
        "byte", description="tokenizer of a corpus that the run prepares itself"
    )
    vocab_size: Annotated[int, Field(ge=257, le=1 << 20)] = Field(
        2048, description="vocabulary size of a bpe tokenizer"
    )


class BudgetSettings(Section):
    """How long each trial trains."""

    kind: Literal["flops", "steps", "tokens", "seconds"] = Field(
        "steps", description="what every trial has the same amount of; flops: the training FLOPs of the baseline"
    )
    size: Annotated[float, Field(gt=0)] = Field(
        60, description="training budget in units of budget.kind; of kind flops, in optimizer steps of the baseline"
    )
    flops: Annotated[int, Field(gt=0)] | None = Field(
        None,
        description="kind flops: training FLOPs of a trial instead of those of budget.size steps of the baseline; "
        "best_config.toml has it, so that the next run's trials compute as much",
    )

    disturbed_baseline: Literal["wait", "repeat", "refuse"] = Field(
        "wait",
        description="budget in seconds: a disturbed baseline is measured up to 5 more times, after waits (wait) or at "
        "once, and then used with its mark (wait, repeat) or refused (refuse)",
    )

    @field_validator("size")
    @classmethod
    def _whole(cls, size: float, info: Any) -> float:
        if (kind := info.data.get("kind")) in ("flops", "steps", "tokens") and size != int(size):
            raise ValueError(f"{size} {'baseline steps' if kind == 'flops' else kind}: a whole number is needed")
        return size


class EvalSettings(Section):
    """The span of validation text that every trial is scored on."""

    bytes: Annotated[int, Field(ge=1024)] = Field(131072, description="bytes of validation text that are scored")


class DecisionSettings(Section):
    """The rule that keeps or reverts a candidate."""

    rule: Literal["sequential", "threshold"] = Field(
        "sequential",
        description="sequential: a keep is confirmed over several seeds; threshold: one seed decides",
    )
    accept_delta_frac: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.005, description="smallest relative improvement of val_bpb that is kept"
    )
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.05, description="rule sequential: largest probability of any false keep in the run directory"
    )
    max_seeds: Annotated[int, Field(ge=4, le=64)] = Field(
        12, description="rule sequential: most seeds of one candidate; without a verdict by then it is inconclusive"
    )
    confirm: Literal["auto", "all", "best"] = Field(
        "auto",
        description="rule sequential: which candidates get more seeds: all that may be a keep; best: only what beats "
        "the best keep so far; auto: best if a proposal may change several knobs, else all",
    )
    baseline_seeds: Annotated[int, Field(ge=1, le=64)] = Field(
        3, description="rule sequential: seeds that the baseline is measured with at first; more follow where needed"
    )
    earlier_runs: Literal["auto", "off"] | tuple[Path, ...] = Field(
        "auto",
        description="rule sequential: earlier runs on the same yardstick whose noise and loss curves a new run starts "
        "with; auto: those in archive/ of the run directory; or a list of run directories and trajectories",
    )
    vault: Literal["auto", "off"] = Field(
        "auto",
        description="rule sequential: score each trial on the test split too, sealed until a keep; off: no test split",
    )

    @field_validator("earlier_runs", mode="before")
    @classmethod
    def _one_path(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) and value not in ("auto", "off") else value


class EarlyStopSettings(Section):
    """When a trial that can no longer become a keep ends early (docs/verdicts.md)."""

    enabled: Literal["auto", "off"] = Field(
        "auto",
        description="auto: under rule sequential, once early_stop.min_curves full curves are known, and not under a "
        "budget in seconds; off: every trial runs to its end",
    )
    tolerated: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.01, description="largest share of keeps that early stopping may lose"
    )
    min_curves: Annotated[int, Field(ge=10, le=400)] = Field(
        30, description="full loss curves of candidates, earlier runs' included, before the first trial is stopped"
    )
    audit_frac: Annotated[float, Field(ge=0, le=1)] = Field(
        0.05, description="share of the trials that would be stopped which run on, so that lost keeps are seen"
    )


class LimitSettings(Section):
    """Limits of a trial and of a proposer."""

    deadline_s: Annotated[float, Field(gt=0)] = Field(600, description="seconds after which a trial is killed")
    max_time_ratio: Annotated[float, Field(gt=0)] = Field(
        3.0, description="rail R7: largest estimated training time, as a multiple of the baseline's"
    )
    memory_gib: Annotated[float, Field(gt=0)] | None = Field(
        None, description="largest memory of a trial in GiB; the free memory if not given"
    )
    min_free_disk_mib: Annotated[float, Field(ge=0)] | None = Field(
        None,
        description="MiB of free disk space below which no trial starts and the run waits; a twentieth of the file"
        " system, at most 64, if not given",
    )
    max_attempts: Annotated[int, Field(ge=1, le=100)] = Field(
        4, description="most replies that a proposer gives in one iteration"
    )


class ParallelSettings(Section):
    """The ranks that train one model together; a rank is a process, with a GPU of its own where there are GPUs."""

    data: Annotated[int, Field(ge=1, le=1024)] = Field(
        1, description="data-parallel ranks: each batch is divided among them"
    )
    tensor: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="tensor-parallel ranks: each matrix is divided among them (trainer megatron)"
    )


class ExecutorSettings(Section):
    """How many trials run at the same time, and where (docs/parallel.md)."""

    kind: Literal["local", "ray", "slurm"] = Field(
        "local",
        description="where trials run: local: on this machine; ray: on the nodes of a Ray cluster; "
        "slurm: each as a job of a Slurm cluster",
    )
    workers: Annotated[int, Field(ge=1, le=1024)] = Field(
        1,
        description="trials at a time; on one CPU each has an equal share of the cores; 1: one after the other",
    )
    address: Annotated[str, Field(pattern=r"^([^\s:/]+:\d{1,5})?$")] = Field(
        "", description="HOST:PORT of the Ray cluster; empty: one of its own on this machine, on loopback alone"
    )
    slurm: dict[Annotated[str, Field(pattern=r"^[a-z][a-z-]*$")], Annotated[str, Field(pattern=r"^[^\s]+$")]] = Field(
        {}, description="options of sbatch by their long names, for example {partition = 'gpu', account = 'me'}"
    )
    devices: tuple[Annotated[str, Field(pattern=r"^cuda:\d{1,2}$")], ...] = Field(
        (), description="GPUs of one kind that each run a trial, for example ['cuda:0', 'cuda:1']"
    )


class MegatronSettings(Section):
    """Settings of trainer megatron alone."""

    fp8_recipe: Literal["tensorwise", "delayed", "blockwise", "mxfp8"] = Field(
        "tensorwise", description="how fp8 values are scaled; mxfp8 needs a B200 (not GB10), blockwise CUDA 12.9"
    )


class LlmSettings(Section):
    """The LLM server that proposes. Its key is not a setting, because settings are logged (``llm/key.py``)."""

    base_url: str = Field("http://localhost:8000/v1", description="OpenAI-compatible server: NIM, vLLM, llama.cpp, ...")
    model: str | None = Field(None, description="name of the model on the server; the only or first one if not given")
    deadline_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        60, description="longest duration of one call in seconds, retries included"
    )
    share: Literal["auto"] | Annotated[float, Field(ge=0, le=1)] = Field(
        "auto",
        description="hybrid: share of the iterations that the LLM proposes for, the optimizer for the others; auto: as "
        "much as its gains per trial earn, 1 in 21 to 1 in 2",
    )
    rounds: Annotated[int, Field(ge=1, le=10)] = Field(
        3, description="replies requested in one iteration before the fallback proposes"
    )
    proposals: Annotated[int, Field(ge=1, le=10)] = Field(3, description="proposals requested in one reply")
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(0.7, description="sampling temperature")
    max_tokens: Annotated[int, Field(ge=0, le=1 << 20)] = Field(
        0,
        description="most tokens of a reply, thinking included; 0: an eighth of the context, at most 8192",
    )
    max_model_len: Annotated[int, Field(ge=0, le=1 << 24)] = Field(
        0, description="context length of the server in tokens; 0: the value that /v1/models reports, else 8192"
    )
    system: str | None = Field(
        None, description="system message, for example /no_think for Nemotron Nano; none if not given"
    )

    @field_validator("base_url")
    @classmethod
    def _url(cls, url: str) -> str:
        return check_base_url(url)


class EnergySettings(Section):
    """Energy measurement and its price."""

    meter: Literal["auto", "off"] = Field(
        "auto", description="auto: measure with the best sensor of power or energy on this machine"
    )
    sensor: Path | None = Field(
        None, description="file that holds the power of the whole system in microwatts; preferred to every other sensor"
    )
    price_per_kwh: Annotated[float, Field(ge=0)] | None = Field(None, description="price of a kWh, for the report")
    currency: Annotated[str, Field(max_length=8)] | None = Field(
        None, description="currency of the price, for example EUR"
    )
    max_kwh: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="end in good order after the whole run has used this much energy, as the sensor measures it",
    )


class Settings(Section):
    """Every setting of a run."""

    profile: str = Field(DEFAULT_PROFILE, description="set of defaults")
    dir: Path | None = Field(None, description="run directory; runs/PROFILE if not given")
    corpus: str | None = Field(
        None,
        description="directory of a prepared corpus, or 'stdlib' to prepare Python's standard library as one",
    )
    iters: Annotated[int, Field(ge=1)] = Field(50, description="iterations of the whole run; raise it to continue")
    proposer: Literal["auto", "hybrid", "nim", "tpe", "trust-region", "stack", "random", "replay"] = Field(
        "auto", description="what proposes changes; auto: hybrid where an LLM server answers, else trust-region"
    )
    replay_from: Path | None = Field(
        None, description="trajectory or exchanges.jsonl whose proposals the replay proposer repeats"
    )
    trainer: Literal["torch", "megatron", "command"] = Field(
        "torch", description="what trains the GPT; command: the user's own script, see [command]"
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto",
        description="torch.compile the layers; auto: where a trial saves more measured time than compiling costs",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="device that trains")
    threads: Annotated[int, Field(ge=0, le=1024)] = Field(0, description="CPU threads of a trial; 0: every usable core")
    max_changes: Annotated[int, Field(ge=1, le=64)] = Field(
        64, description="most knobs that one proposal may change; 1: each effect is of one knob (docs/search.md)"
    )
    compose: Literal["off", "last", "only"] = Field(
        "off",
        description="unions of confirmed keeps, beyond max_changes too: last, in the last iterations of the run"
        " (--compose); only, and nothing else (`autoresearch compose`)",
    )
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = Field(
        0, description="seed of initialisation, data order and proposer"
    )
    on_pause: Literal["wait", "exit"] = Field("wait", description="what the daemon does while pause.flag is there")
    pause_mode: Literal["after_trial", "now"] = Field(
        "after_trial", description="when pause.flag takes effect; now: the running trial is suspended at its next step"
    )
    drain_max_s: Annotated[float, Field(ge=0)] | None = Field(
        None,
        description="seconds that a stop waits for the running trial before it suspends it; no limit if not given",
    )
    until: str | None = Field(None, description="end in good order at this local time, HH:MM")
    window: str | None = Field(None, description="end in good order outside these local hours, for example 22:00-07:00")
    max_hours: Annotated[float, Field(gt=0)] | None = Field(
        None, description="end in good order after this many hours, counted from each start of the daemon"
    )
    on_event: str | tuple[str, ...] | None = Field(
        None, description="command that receives each event as JSON on stdin (docs/hooks.md); it is run without a shell"
    )
    on_event_only: tuple[HookEvent, ...] = Field(HOOK_EVENTS, description="events that on_event receives")
    on_event_timeout_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        30, description="seconds after which on_event and its child processes are ended"
    )
    track: Literal["trackio", "mlflow", "wandb"] | None = Field(
        None, description="experiment tracker that receives each candidate while the run goes on (docs/exports.md)"
    )
    reports: tuple[Literal["text", "html"], ...] = Field(
        ("text", "html"), description="reports that a run writes at its end; html only where its extra is installed"
    )
    tokenizer: TokenizerSettings = TokenizerSettings()  # type: ignore[call-arg]
    budget: BudgetSettings = BudgetSettings()  # type: ignore[call-arg]
    eval: EvalSettings = EvalSettings()  # type: ignore[call-arg]
    decision: DecisionSettings = DecisionSettings()  # type: ignore[call-arg]
    early_stop: EarlyStopSettings = EarlyStopSettings()  # type: ignore[call-arg]
    limits: LimitSettings = LimitSettings()  # type: ignore[call-arg]
    parallel: ParallelSettings = ParallelSettings()  # type: ignore[call-arg]
    executor: ExecutorSettings = ExecutorSettings()  # type: ignore[call-arg]
    megatron: MegatronSettings = MegatronSettings()  # type: ignore[call-arg]
    command: CommandSettings = CommandSettings()  # type: ignore[call-arg]
    llm: LlmSettings = LlmSettings()  # type: ignore[call-arg]
    energy: EnergySettings = EnergySettings()  # type: ignore[call-arg]
    baseline: dict[str, Annotated[int | float | str, BeforeValidator(refuse_ambiguous)]] = Field(
        {}, description="the fixed configuration, one value per knob"
    )
    crown: Literal["off", "on"] = Field(
        "off",
        description="on: at the end of a complete run the best keeps and the baseline race on fresh seeds, at most 32 "
        "trials (docs/search.md); off: the keep with the best lower bound wins",
    )
    promote: Annotated[int, Field(ge=0, le=1000)] = Field(
        0,
        description="at the end of a complete run, where the time allows: train winner and baseline at this many times "
        "the budget (docs/search.md); 0 or 1: do not",
    )
    climb: ClimbSettings = ClimbSettings()  # type: ignore[call-arg]
    menu_file: Path | None = Field(None, description="your own menu file; the package's if not given")
    menu: dict[str, Any] = Field({}, description="changes to entries of the menu: menu.knobs.NAME.FIELD")

    @field_validator("until")
    @classmethod
    def _clock_time(cls, until: str | None) -> str | None:
        if until is not None and not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", until):
            raise ValueError(f"{until!r} is not a time of day; give HH:MM, for example 06:30")
        return until

    @field_validator("window")
    @classmethod
    def _window(cls, window: str | None) -> str | None:
        return None if window is None else str(Window.parse(window))

    @field_validator("on_event")
    @classmethod
    def _command(cls, command: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        words = shlex.split(command) if isinstance(command, str) else command
        if words is not None and (not words or not words[0] or any("\0" in word for word in words)):
            raise ValueError("give a command and its arguments, for example 'notify.sh' or ['mail', '-s', 'run', 'me']")
        return command

    @field_validator("on_event_only", mode="before")
    @classmethod
    def _event_names(cls, names: Any) -> Any:
        return [name.strip() for name in names.split(",")] if isinstance(names, str) else names

    @property
    def run_dir(self) -> Path:
        """The run directory."""
        return self.dir or Path("runs") / self.profile
