"""Build what measures trials: corpus, device, trial server, cost estimator, and the yardstick that they define."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer
from autoresearch.core.records import Yardstick
from autoresearch.core.values import Cfg
from autoresearch.daemon.command_backend import command_backend
from autoresearch.daemon.cost_check import memory_cap_bytes
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
from autoresearch.daemon.remote_workers import ray_fields
from autoresearch.daemon.run_corpus import choose_vault, needs_preparation, open_corpus, prepare_corpus
from autoresearch.daemon.slurm_workers import SlurmWorkers, no_sensor, open_slurm
from autoresearch.daemon.trainer_code import watch_trainer_code
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.data.corpus import Corpus
from autoresearch.data.span import EVALUATOR_VERSION, Span
from autoresearch.energy.sensors.select import select_sensor
from autoresearch.errors import ConfigError
from autoresearch.machine import spare_bytes
from autoresearch.storage.run_dir import CHECKPOINT, LOGS
from autoresearch.storage.speed_log import step_seconds
from autoresearch.trials.compile_decision import decide_compiled
from autoresearch.trials.estimate import Estimator
from autoresearch.trials.forked_trial import ForkedTrial
from autoresearch.trials.runner import ChildRunner, RequestRunner
from autoresearch.trials.server import TrialServer
from autoresearch.trials.slurm.job_folder import Expected
from autoresearch.trials.spec import INITIALISATION, Device, TrialSpec
from autoresearch.trials.trial_budget import budget_flops

SERVER_LOG = "trial-server.log"


def real_backend(
    settings: Settings, policy: Policy, run_dir: Path, aborted: Callable[[], bool], observer: Observer
) -> TrialBackend:
    """Open the corpus, start the trial server, probe the device.

    Raises ``ConfigError``, ``MissingPackage``, ``CorpusError`` or ``TrialServerError``.
    """
    refuse_unfit_workers(settings)
    if settings.trainer == "command":
        return TrialBackend(**command_backend(settings, policy, run_dir, aborted, observer))
    refuse_unusable(settings, run_dir)
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
        wanted = "off" if settings.compile == "auto" and estimator.unsupported(policy.baseline) else settings.compile
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


def refuse_unusable(settings: Settings, run_dir: Path) -> None:
    """Raise ``ConfigError`` or ``MissingPackage`` for what cannot run here, before anything is prepared or started."""
    refuse_clocks_of_several_ranks(settings)
    refuse_missing_executor(settings)
    refuse_missing_trainer(settings, prepares_corpus=needs_preparation(settings, run_dir))


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
