"""What measures: corpus, device and trial server put together, and the yardstick they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer, Timer, Trial
from autoresearch.core.records import Yardstick
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.daemon.policy import Policy
from autoresearch.data.corpus import Corpus
from autoresearch.data.prepare import prepare
from autoresearch.data.sources import Sources
from autoresearch.data.span import EVALUATOR_VERSION, Span
from autoresearch.data.tokenizer import TokenizerSpec
from autoresearch.data.windows import choose_span
from autoresearch.energy.sensors.select import SelectedSensor, select_sensor
from autoresearch.errors import ConfigError
from autoresearch.machine import spare_bytes, usable_cpus
from autoresearch.storage.run_dir import CHECKPOINT, CORPUS, LOGS
from autoresearch.storage.speed_log import step_seconds
from autoresearch.trials.compile_decision import decide_compiled
from autoresearch.trials.estimate import Estimator
from autoresearch.trials.forked_trial import ForkedTrial
from autoresearch.trials.runner import ChildRunner
from autoresearch.trials.server import TrialServer
from autoresearch.trials.spec import Device, TrialSpec
from rails import ChoiceKnob, Config, Limits, Verdict, gate, over_budget

STDLIB = "stdlib"


@dataclass(frozen=True, slots=True)
class TrialBackend:
    """What measures: a trial behind its port, the yardstick it measures with, and what a candidate would cost."""

    trial: Trial
    yardstick: Yardstick
    estimator: Estimator | None
    free_accelerator_bytes: int | None = None
    close: Callable[[], None] = lambda: None
    timer: Timer | None = None
    select_sensor: Callable[[], SelectedSensor] | None = None  # what it can be metered by


def judge(policy: Policy, backend: TrialBackend, settings: Settings, raw: str, trajectory: Trajectory) -> Verdict:
    """The gate with everything that this run knows filled in."""
    return gate(
        raw,
        policy.baseline,
        policy.menu,
        steps=policy.steps,
        known=trajectory.known(),
        estimate=backend.estimator,
        limits=limits_now(backend.free_accelerator_bytes, settings),
    )


def limits_now(free_accelerator_bytes: int | None, settings: Settings) -> Limits:
    """What a trial may take at this moment; ``None`` is a device that shares the machine's own memory."""
    free = spare_bytes() if free_accelerator_bytes is None else free_accelerator_bytes
    cap = memory_cap_bytes(settings)
    return Limits(free if cap is None else min(free, cap), settings.limits.max_time_ratio)


def refusal_for_cost(backend: TrialBackend, settings: Settings, cfg: Config) -> str:
    """Why R7 would refuse ``cfg`` at this moment, or an empty string: proposers ask before they propose."""
    limits = limits_now(backend.free_accelerator_bytes, settings)
    return (over_budget(backend.estimator(cfg), limits) or "") if backend.estimator else ""


def real_backend(
    settings: Settings, policy: Policy, run_dir: Path, aborted: Callable[[], bool], observer: Observer
) -> TrialBackend:
    """Corpus, device and trial server. Raises ``CorpusError``, ``TrialServerError`` or ``ConfigError``."""
    refuse_clocks_of_several_ranks(settings)
    path = corpus_path(settings, run_dir, observer)
    corpus = Corpus.open(path, verify=True, progress=observer.preparing)  # minutes, where it is large
    span = choose_span(corpus.split("val"), corpus.token_bytes, longest_context(policy), settings.eval.bytes)
    observer.notify(f"starting the trial server (trainer {settings.trainer})")
    server = TrialServer(settings.trainer, run_dir / LOGS / "trial-server.log")
    runner = ChildRunner(server, aborted)
    deadline_s = settings.limits.deadline_s
    try:
        device = runner.probe(settings.device, settings.trainer, deadline_s)
        ranks = (settings.parallel.data, settings.parallel.tensor)
        estimator = Estimator(
            policy.baseline, corpus.vocab, settings.trainer, device, policy.budget, span.tokens, ranks
        )
        spec = baseline_spec(settings, policy, str(path.resolve()), span, device)
        cannot_be_asked = settings.compile == "auto" and estimator.unsupported(policy.baseline)
        wanted = "off" if cannot_be_asked else settings.compile
        capped = spec.model_copy(update={"memory_limit_bytes": spare_bytes()})
        compiled = decide_compiled(wanted, capped, corpus.vocab, device, runner, deadline_s, observer.notify)
        spec = spec.model_copy(update={"compiled": compiled})
        yardstick = build_yardstick(spec, corpus, device)
        speeds = step_seconds(run_dir, yardstick, policy.baseline, observer.notify)
        estimator = replace(estimator, compiled=compiled, speeds=speeds)
    except BaseException:
        server.close()
        raise

    def build_spec(cfg: Cfg, seed: int) -> TrialSpec:
        return spec.model_copy(update={"cfg": cfg, "seed": seed})

    aside = run_dir.resolve() / CHECKPOINT  # whole, because another process reads it
    trial = ForkedTrial(runner, build_spec, deadline_s, run_dir / LOGS, aside, memory_cap_bytes(settings))
    sensor = partial(select_sensor, device.device, gpus_of(settings, device), settings.energy.sensor)
    return TrialBackend(trial, yardstick, estimator, device.free_bytes, server.close, trial, sensor)


def gpus_of(settings: Settings, device: Device) -> tuple[str, ...]:
    """The GPUs that the ranks of a trial take."""
    return device.gpus[: settings.parallel.data * settings.parallel.tensor]


def check_baseline(backend: TrialBackend, policy: Policy) -> None:
    """Raises ``ConfigError`` for a baseline that the trainer or the device cannot do."""
    if backend.estimator and (why := backend.estimator.unsupported(policy.baseline)):
        raise ConfigError(f"baseline: {why}", hint="change it with --set baseline.NAME=VALUE, or the trainer")


def refuse_clocks_of_several_ranks(settings: Settings) -> None:
    """Raise ``ConfigError`` for a budget in seconds that several ranks would each end at another step."""
    ranks = settings.parallel.data * settings.parallel.tensor
    if ranks > 1 and settings.budget.kind == "seconds":
        hint = "take budget.kind = 'steps' or 'tokens': the clocks of several ranks would not stop at the same step"
        raise ConfigError(f"budget.kind = 'seconds' with {ranks} ranks", hint=hint)


def baseline_spec(settings: Settings, policy: Policy, corpus: str, span: Span, device: Device) -> TrialSpec:
    """The baseline's trial, not compiled; every other differs from it in ``cfg`` and ``seed`` alone."""
    return TrialSpec(
        cfg=policy.baseline,
        seed=settings.seed,
        corpus=corpus,
        trainer=settings.trainer,
        device=device.device,
        threads=settings.threads or usable_cpus(),
        budget=policy.budget,
        span=span,
        data_parallel=settings.parallel.data,
        tensor_parallel=settings.parallel.tensor,
        fp8_recipe=settings.megatron.fp8_recipe,
    )


def longest_context(policy: Policy) -> int:
    """Tokens of the longest sequence on the menu: the scored span begins behind that much text."""
    knob = policy.menu.knobs.get("seq_len")
    on_menu = knob.choices if isinstance(knob, ChoiceKnob) else ()
    return max(int(v) for v in (*on_menu, getattr(knob, "high", 0), policy.baseline["seq_len"]))


def memory_cap_bytes(settings: Settings) -> int | None:
    """The configured cap on a trial's memory."""
    return int(settings.limits.memory_gib * 2**30) if settings.limits.memory_gib else None


def build_yardstick(spec: TrialSpec, corpus: Corpus, device: Device) -> Yardstick:
    """What every val_bpb of this run is measured with; ``spec`` is any of its trials."""
    return Yardstick(
        corpus_sha256=corpus.sha256,
        tokenizer_sha256=corpus.manifest.tokenizer.sha256,
        span_start_token=spec.span.start,
        span_tokens=spec.span.tokens,
        span_bytes=spec.span.bytes,
        evaluator_version=EVALUATOR_VERSION,
        trainer=spec.trainer,
        versions=device.versions,
        threads=spec.threads,
        device_kind=device.kind,
        budget_kind=spec.budget.kind,
        budget_size=spec.budget.size,
        compiled=spec.compiled,
        data_parallel=spec.data_parallel,
        tensor_parallel=spec.tensor_parallel,
        fp8_recipe=spec.fp8_recipe if "fp8" in device.precisions else None,
    )


def corpus_path(settings: Settings, run_dir: Path, observer: Observer) -> Path:
    """The prepared corpus; ``stdlib`` is prepared once, inside the run directory."""
    if settings.corpus is None:
        hint = "autoresearch prepare SOURCE... --out CORPUS, then --corpus CORPUS; or --corpus stdlib"
        raise ConfigError("corpus is not set", hint=hint)
    if settings.corpus != STDLIB:
        return Path(settings.corpus)
    out = run_dir / CORPUS
    wanted = settings.tokenizer
    if (out / "manifest.json").exists():
        refuse_another_tokenizer(settings, Corpus.open(out))
    else:
        observer.notify("preparing the corpus: this Python's own standard library")
        sources = Sources(stdlib=True)
        spec = TokenizerSpec(wanted.kind, wanted.vocab_size)
        prepare(sources.documents(), out, names=sources.names, tokenizer=spec, progress=observer.preparing)
    return out


def refuse_another_tokenizer(settings: Settings, corpus: Corpus) -> None:
    """Raise ``ConfigError`` for a corpus of the run's own that was tokenized differently from what is set now."""
    wanted, found = settings.tokenizer, corpus.manifest.tokenizer
    if (found.kind, found.requested_vocab) != (wanted.kind, wanted.vocab_size if wanted.kind == "bpe" else None):
        hint = f"undo the change of tokenizer.*, take another --dir, or move {corpus.path} away"
        raise ConfigError(f"{corpus.path} was tokenized with {found.kind} of {found.vocab} ids", hint=hint)
