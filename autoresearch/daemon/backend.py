"""Build what measures trials: corpus, device, trial server, cost estimator, and the yardstick that they define."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer, Timer, Trial
from autoresearch.core.records import Yardstick
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.daemon.allowed_changes import allowed_changes
from autoresearch.daemon.command_backend import command_backend
from autoresearch.daemon.command_files import CommandFiles
from autoresearch.daemon.inputs import Inputs
from autoresearch.daemon.local_workers import (
    build_workers,
    count_workers,
    has_workers,
    refuse_gpu_for_workers,
    refuse_unfit_workers,
    threads_per_worker,
)
from autoresearch.daemon.packages import refuse_missing_executor, refuse_missing_trainer
from autoresearch.daemon.policy import Policy
from autoresearch.daemon.remote_workers import RemoteFleet, ray_fields
from autoresearch.daemon.slurm_workers import SlurmWorkers, no_sensor, open_slurm
from autoresearch.daemon.trainer_code import watch_trainer_code
from autoresearch.data.corpus import Corpus
from autoresearch.data.prepare import prepare
from autoresearch.data.sources import Sources
from autoresearch.data.span import EVALUATOR_VERSION, Span
from autoresearch.data.tokenizer import TokenizerSpec
from autoresearch.data.windows import choose_span
from autoresearch.energy.sensors.select import SelectedSensor, select_sensor
from autoresearch.errors import ConfigError, CorpusError
from autoresearch.machine import spare_bytes
from autoresearch.storage.run_dir import CHECKPOINT, CORPUS, LOGS
from autoresearch.storage.speed_log import step_seconds
from autoresearch.trials.command.costs import learned_estimate
from autoresearch.trials.compile_decision import decide_compiled
from autoresearch.trials.estimate import Estimator
from autoresearch.trials.forked_trial import ForkedTrial
from autoresearch.trials.local_executor import MakeTrial
from autoresearch.trials.runner import ChildRunner, RequestRunner
from autoresearch.trials.server import TrialServer
from autoresearch.trials.slurm.job_folder import Expected
from autoresearch.trials.spec import INITIALISATION, Device, TrialSpec
from autoresearch.trials.trial_budget import budget_flops
from rails import ChoiceKnob, Config, Estimate, Limits, Verdict, gate, over_budget

STDLIB = "stdlib"
SERVER_LOG = "trial-server.log"
LIMITS_VALID_S = 1.0
NO_MEMORY_LIMIT = 1 << 62
VAULT_SHARE = 0.5  # of eval.bytes: what the vault scores of the test split; about 3% of a trial of profile tiny


@dataclass(frozen=True, slots=True)
class TrialBackend:
    """A trial behind its port, the yardstick it measures with, and the estimator of what a candidate costs."""

    trial: Trial
    yardstick: Yardstick
    estimator: Estimator | None  # None for a command, whose costs are learned from its trials
    free_accelerator_bytes: int | None = None
    close: Callable[[], None] = lambda: None
    timer: Timer | None = None
    select_sensor: Callable[[], SelectedSensor] | None = None  # opens the power sensor of the device
    inputs: Inputs = field(default_factory=Inputs)  # the files that trials read
    command_files: CommandFiles | None = None  # of a command
    train_tokens: int | None = None  # of the corpus
    has_vault: bool = False  # whether its trials are scored on the test split too
    vocab: int | None = None  # of the corpus
    val_overlap: float | None = None  # share of validation that occurs verbatim in train
    workers: Sequence[MakeTrial] = ()  # of several trials at a time; none: ``trial``, one after the other
    fleet: RemoteFleet | None = None  # of trials on other machines

    @property
    def worker_count(self) -> int:
        """How many trials may run at a time; 0 where one runs after the other, on no worker of its own."""
        return self.fleet.workers if self.fleet else len(self.workers)

    @property
    def free_bytes(self) -> int | None:
        """What a trial may take, whichever device runs it; ``None``: what this machine has left."""
        known = self.fleet.free_bytes if self.fleet else None
        return self.free_accelerator_bytes if known is None else known


def judge(policy: Policy, backend: TrialBackend, settings: Settings, raw: str, trajectory: Trajectory) -> Verdict:
    """Pass a reply through the gate with the menu, history, estimator and limits of this run."""
    return gate(
        raw,
        policy.baseline,
        policy.menu,
        steps=policy.steps,
        known=trajectory.known(),
        estimate=estimate_of(policy, backend, trajectory),
        limits=backend_limits(backend, settings),
        max_changes=allowed_changes(settings, policy, raw, trajectory),
    )


def estimate_of(
    policy: Policy, backend: TrialBackend, trajectory: Trajectory
) -> Callable[[Config], Estimate | None] | None:
    """What R7 expects of a configuration: computed from the model, or learned from what this run has measured."""
    if backend.estimator is not None or not policy.own_menu:
        return backend.estimator
    return learned_estimate(policy.baseline, trajectory.costs)


def backend_limits(backend: TrialBackend, settings: Settings) -> Limits:
    """``limits_now``; of a command that reports the memory of another device, only the user's own limit counts."""
    if settings.trainer == "command" and settings.command.peak_memory_pattern:
        cap = memory_cap_bytes(settings)
        return Limits(NO_MEMORY_LIMIT if cap is None else cap, settings.limits.max_time_ratio)
    return limits_now(backend.free_bytes, settings)


def limits_now(free_accelerator_bytes: int | None, settings: Settings) -> Limits:
    """Memory and time that a trial may take now; ``None`` means a device that shares the machine's own memory."""
    free = spare_bytes() if free_accelerator_bytes is None else free_accelerator_bytes
    cap = memory_cap_bytes(settings)
    return Limits(free if cap is None else min(free, cap), settings.limits.max_time_ratio)


def refusal_for_cost(backend: TrialBackend, settings: Settings, cfg: Config) -> str:
    """Why R7 would refuse ``cfg`` now, or an empty string."""
    return build_cost_check(backend, settings)(cfg)


def build_cost_check(
    backend: TrialBackend,
    settings: Settings,
    clock: Callable[[], float] = time.monotonic,
    estimate: Callable[[], Callable[[Config], Estimate | None] | None] | None = None,
) -> Callable[[Config], str]:
    """``refusal_for_cost`` for a proposer, which calls it for hundreds of candidates before it proposes one.

    Memory is read once a second and not for each of them: reading it takes ten times as long as the estimate.
    ``estimate`` gives the present estimate where it is learned; the backend's own if it is not given.
    """
    limits, read_at = None, -math.inf

    def find_refusal(cfg: Config) -> str:
        nonlocal limits, read_at
        estimator = estimate() if estimate else backend.estimator
        if estimator is None or (cost := estimator(cfg)) is None:
            return ""
        if limits is None or clock() - read_at >= LIMITS_VALID_S:
            limits, read_at = backend_limits(backend, settings), clock()
        return over_budget(cost, limits) or ""

    return find_refusal


def real_backend(
    settings: Settings, policy: Policy, run_dir: Path, aborted: Callable[[], bool], observer: Observer
) -> TrialBackend:
    """Open the corpus, start the trial server, probe the device.

    Raises ``ConfigError``, ``MissingPackage``, ``CorpusError`` or ``TrialServerError``.
    """
    refuse_unfit_workers(settings)
    if settings.trainer == "command":
        return TrialBackend(**command_backend(settings, policy, run_dir, aborted, observer))
    refuse_clocks_of_several_ranks(settings)
    refuse_missing_executor(settings)
    refuse_missing_trainer(settings, prepares_corpus=needs_preparation(settings, run_dir))
    path = prepare_corpus(settings, run_dir, observer)
    inputs = Inputs(aborted)
    corpus, span = open_corpus(settings, policy, path, observer.preparing, inputs)
    policy = policy.with_vocab(corpus.vocab)
    watch_trainer_code(inputs, settings.trainer)
    server, runner, device = start_measuring(settings, run_dir, aborted, observer.notify)
    deadline_s = settings.limits.deadline_s
    try:
        refuse_gpu_for_workers(settings, device)
        estimator = build_estimator(settings, policy, device, corpus, span)
        vault = choose_vault(settings, policy, corpus, observer.notify)
        spec = baseline_spec(settings, policy, str(path.resolve()), span, device, vault)
        cannot_compile = settings.compile == "auto" and estimator.unsupported(policy.baseline)
        wanted = "off" if cannot_compile else settings.compile
        most = server.most_bytes if isinstance(server, SlurmWorkers) else spare_bytes()
        capped = spec.model_copy(update={"memory_limit_bytes": most})
        compiled = decide_compiled(wanted, capped, corpus.vocab, device, runner, deadline_s, observer.notify)
        spec = spec.model_copy(update={"compiled": compiled})
        yardstick = build_yardstick(spec, policy, corpus, device)
        speeds = step_seconds(run_dir, yardstick, policy.baseline, observer.notify)
        estimator = replace(estimator, compiled=compiled, speeds=speeds)
    except BaseException:
        server.close()
        raise

    def build_spec(cfg: Cfg, seed: int) -> TrialSpec:
        return spec.model_copy(update={"cfg": cfg, "seed": seed, "budget": policy.trial_budget(cfg)})

    checkpoint = run_dir.resolve() / CHECKPOINT  # absolute, because another process reads it
    trial = ForkedTrial(runner, build_spec, deadline_s, run_dir / LOGS, checkpoint, memory_cap_bytes(settings))
    backend = TrialBackend(
        trial=trial,
        yardstick=yardstick,
        estimator=estimator,
        free_accelerator_bytes=device.free_bytes,
        close=server.close,
        timer=trial,
        select_sensor=partial(select_sensor, device.device, gpus_of(settings, device), settings.energy.sensor),
        inputs=inputs,
        train_tokens=corpus.manifest.splits["train"].tokens,
        has_vault=vault is not None,
        vocab=corpus.vocab,
        val_overlap=corpus.val_overlap,
    )
    if isinstance(server, SlurmWorkers):
        return with_jobs(backend, trial, server, estimator, settings, str(path.resolve()))
    if settings.executor.kind == "ray":
        server.close()  # it starts again for what is measured outside of the loop: races, promotions
        return replace(backend, **ray_fields(settings, run_dir, trial, device, corpus, observer.notify))
    return with_workers(backend, trial, server, device, settings, run_dir) if has_workers(settings) else backend


def start_measuring(
    settings: Settings, run_dir: Path, aborted: Callable[[], bool], notify: Callable[[str], None]
) -> tuple[TrialServer | SlurmWorkers, RequestRunner, Device]:
    """What measures, here or on a cluster, with a look at the device. Raises as ``real_backend``."""
    if settings.executor.kind == "slurm":
        notify("submitting the first job to Slurm: it looks at the device")
        return open_slurm(settings, run_dir, aborted)
    notify(f"starting the trial server (trainer {settings.trainer})")
    return start_trial_server(settings, run_dir / LOGS / SERVER_LOG, aborted)


def with_jobs(
    backend: TrialBackend,
    trial: ForkedTrial,
    jobs: SlurmWorkers,
    estimator: Estimator,
    settings: Settings,
    corpus: str,
) -> TrialBackend:
    """The same with a job of Slurm for each trial; R7 checks against the memory of the smallest node."""
    yardstick = backend.yardstick
    expected = Expected(
        device=settings.device,
        device_kind=yardstick.device_kind,
        versions=yardstick.versions,
        corpus=corpus,
        corpus_sha256=yardstick.corpus_sha256 or "",
    )
    workers = jobs.make_trials(settings, trial, estimator, expected)
    free = jobs.most_bytes if backend.free_accelerator_bytes is None else backend.free_accelerator_bytes
    return replace(
        backend,
        trial=workers[0](trial.runner.aborted),
        workers=workers,
        free_accelerator_bytes=free,
        select_sensor=no_sensor,
    )


def with_workers(
    backend: TrialBackend,
    trial: ForkedTrial,
    server: TrialServer,
    device: Device,
    settings: Settings,
    run_dir: Path,
) -> TrialBackend:
    """The same with a server for each worker; the first server, which looked at the device, ends.

    On the CPU each trial may take an equal share of the memory that is free now. Raises ``ConfigError``.
    """
    server.close()
    share = spare_bytes() // count_workers(settings) if device.free_bytes is None else None
    caps = [cap for cap in (trial.memory_cap_bytes, share) if cap is not None]
    shared = replace(trial, memory_cap_bytes=min(caps, default=None))
    workers = build_workers(settings, run_dir, shared, device, trial.runner.aborted)
    gpus = workers.gpus or gpus_of(settings, device)
    return replace(
        backend,
        trial=workers.make_trials[0](trial.runner.aborted),  # what is measured outside of the loop: races, promotions
        workers=workers.make_trials,
        free_accelerator_bytes=share if device.free_bytes is None else workers.free_bytes or device.free_bytes,
        close=workers.close,
        select_sensor=partial(select_sensor, device.device, gpus, settings.energy.sensor),
    )


def open_corpus(
    settings: Settings,
    policy: Policy,
    path: Path,
    progress: Callable[[str, float], None] = lambda *_: None,
    inputs: Inputs | None = None,
) -> tuple[Corpus, Span]:
    """Verify a prepared corpus, which takes minutes where it is large, and choose the span of it that is scored.

    ``inputs`` watches its files from then on.

    Raises ``CorpusError``, and ``ConfigError`` for a corpus of the run's own that was tokenized differently.
    """
    corpus = (inputs or Inputs()).watch_corpus(path, partial(Corpus.open, path, verify=True, progress=progress))
    if settings.corpus == STDLIB:
        refuse_another_tokenizer(settings, corpus)
    return corpus, choose_span(corpus.split("val"), corpus.token_bytes, longest_context(policy), settings.eval.bytes)


def choose_vault(settings: Settings, policy: Policy, corpus: Corpus, notify: Callable[[str], None]) -> Span | None:
    """The span of the test split that the vault scores, or ``None`` where there is no vault; why not is reported."""
    if policy.rule.kind != "sequential" or settings.decision.vault == "off":
        return None
    wanted = int(VAULT_SHARE * settings.eval.bytes)
    try:
        return choose_span(corpus.vault(), corpus.token_bytes, longest_context(policy), wanted, "test")
    except (CorpusError, OSError, ValueError) as e:  # ValueError: an empty file cannot be mapped
        notify(f"there is no vault, so keeps are not checked on text that did not choose them: {e}")
        return None


def start_trial_server(
    settings: Settings, log: Path, aborted: Callable[[], bool]
) -> tuple[TrialServer, ChildRunner, Device]:
    """Start the trial server and probe the device in a child of it; the caller closes the server.

    Raises ``TrialServerError`` or ``ConfigError``, with the server closed.
    """
    server = TrialServer(settings.trainer, log)
    runner = ChildRunner(server, aborted)
    try:
        return server, runner, runner.probe(settings.device, settings.trainer, settings.limits.deadline_s)
    except BaseException:
        server.close()
        raise


def build_estimator(
    settings: Settings, policy: Policy, device: Device, corpus: Corpus | None, span: Span | None
) -> Estimator:
    """The estimator of R7; without a corpus (not prepared yet), with the vocabulary and span that it will have."""
    vocab = corpus.vocab if corpus else policy.vocab
    span_tokens = span.tokens if span else settings.eval.bytes
    ranks = (settings.parallel.data, settings.parallel.tensor)
    return Estimator(policy.baseline, vocab, settings.trainer, device, policy.budget, span_tokens, ranks)


def gpus_of(settings: Settings, device: Device) -> tuple[str, ...]:
    """Identifiers of the GPUs that the ranks of a trial use."""
    return device.gpus[: settings.parallel.data * settings.parallel.tensor]


def check_baseline(backend: TrialBackend, policy: Policy) -> None:
    """Raise ``ConfigError`` for a baseline that the trainer or the device does not support."""
    if backend.estimator and (why := backend.estimator.unsupported(policy.baseline)):
        raise ConfigError(f"baseline: {why}", hint="change it with --set baseline.NAME=VALUE, or the trainer")


def refuse_clocks_of_several_ranks(settings: Settings) -> None:
    """Raise ``ConfigError`` for a budget in seconds that several ranks would each end at another step."""
    ranks = settings.parallel.data * settings.parallel.tensor
    if ranks > 1 and settings.budget.kind == "seconds":
        hint = "set budget.kind = 'flops' or 'steps': the clocks of several ranks would not stop at the same step"
        raise ConfigError(f"budget.kind = 'seconds' with {ranks} ranks", hint=hint)


def baseline_spec(
    settings: Settings, policy: Policy, corpus: str, span: Span, device: Device, vault: Span | None = None
) -> TrialSpec:
    """Spec of the baseline's trial, not compiled; other trials differ only in ``cfg`` and ``seed``."""
    return TrialSpec(
        cfg=policy.baseline,
        seed=settings.seed,
        corpus=corpus,
        trainer=settings.trainer,
        device=device.device,
        threads=threads_per_worker(settings),
        budget=policy.trial_budget(policy.baseline),
        span=span,
        vault=vault,
        data_parallel=settings.parallel.data,
        tensor_parallel=settings.parallel.tensor,
        fp8_recipe=settings.megatron.fp8_recipe,
    )


def longest_context(policy: Policy) -> int:
    """Tokens of the longest sequence on the menu; the scored span begins after that many."""
    knob = policy.menu.knobs.get("seq_len")
    on_menu = knob.choices if isinstance(knob, ChoiceKnob) else ()
    return max(int(v) for v in (*on_menu, getattr(knob, "high", 0), policy.baseline["seq_len"]))


def memory_cap_bytes(settings: Settings) -> int | None:
    """The configured limit on a trial's memory, in bytes."""
    return int(settings.limits.memory_gib * 2**30) if settings.limits.memory_gib else None


def build_yardstick(spec: TrialSpec, policy: Policy, corpus: Corpus, device: Device) -> Yardstick:
    """The yardstick of every val_bpb of this run; ``spec`` is any of its trials."""
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
        budget_kind=policy.budget.kind,
        budget_size=policy.budget.size,
        budget_flops=budget_flops(policy.budget, policy.baseline, corpus.vocab),
        initialisation=INITIALISATION,
        compiled=spec.compiled,
        data_parallel=spec.data_parallel,
        tensor_parallel=spec.tensor_parallel,
        fp8_recipe=spec.fp8_recipe if "fp8" in device.precisions else None,
    )


def corpus_path(settings: Settings, run_dir: Path) -> Path:
    """Where the corpus of the settings lies or will be prepared. Raises ``ConfigError`` where none is set."""
    if settings.corpus is None:
        hint = "autoresearch prepare SOURCE... --out CORPUS, then --corpus CORPUS; or --corpus stdlib"
        raise ConfigError("corpus is not set", hint=hint)
    return run_dir / CORPUS if settings.corpus == STDLIB else Path(settings.corpus)


def needs_preparation(settings: Settings, run_dir: Path) -> bool:
    """Whether the run still has to prepare its own corpus."""
    return settings.corpus == STDLIB and not (run_dir / CORPUS / "manifest.json").exists()


def prepare_corpus(settings: Settings, run_dir: Path, observer: Observer) -> Path:
    """The path of the prepared corpus; ``stdlib`` is prepared once, inside the run directory."""
    out = corpus_path(settings, run_dir)
    if needs_preparation(settings, run_dir):
        if out.is_symlink():
            hint = f"remove the link, which leaves what is behind it: rm {shlex.quote(str(out.absolute()))}"
            raise CorpusError(f"{out} is a link, and the corpus of a run is not written through one", hint=hint)
        observer.notify("preparing the corpus: this Python's own standard library")
        sources = Sources(stdlib=True)
        spec = TokenizerSpec(settings.tokenizer.kind, settings.tokenizer.vocab_size)
        names, notify = sources.names, observer.notify
        prepare(sources.documents(), out, names=names, tokenizer=spec, progress=observer.preparing, notify=notify)
    return out


def refuse_another_tokenizer(settings: Settings, corpus: Corpus) -> None:
    """Raise ``ConfigError`` where the run's own corpus was tokenized with other settings than the present ones."""
    wanted, found = settings.tokenizer, corpus.manifest.tokenizer
    if (found.kind, found.requested_vocab) != (wanted.kind, wanted.vocab_size if wanted.kind == "bpe" else None):
        hint = f"undo the change of tokenizer.*, choose another --dir, or move {corpus.path} away"
        raise ConfigError(f"{corpus.path} was tokenized with {found.kind} of {found.vocab} ids", hint=hint)
