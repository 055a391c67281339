"""The composition root: build a run from its settings, refuse to continue one that was begun differently, run it."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from autoresearch import __version__
from autoresearch.config.local_time import zone_name
from autoresearch.config.settings import Settings
from autoresearch.config.time_zone import refuse_invalid_zone, zone_warning
from autoresearch.config.window import Window
from autoresearch.core.climb_record import Climb
from autoresearch.core.loop import Loop
from autoresearch.core.parallel_loop import ParallelLoop
from autoresearch.core.ports import Meter, NullVault, Observer, Proposer
from autoresearch.core.power import Metering
from autoresearch.core.race import race_is_due
from autoresearch.core.records import SCHEMA_VERSION, EarlierRun, LoopComplete, Meta, Resumed, Started, Yardstick
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import sha256_of
from autoresearch.daemon.backend import check_baseline, real_backend
from autoresearch.daemon.best_config import climb_of, write_best_config
from autoresearch.daemon.command_listing import check_listing
from autoresearch.daemon.control import RunControl
from autoresearch.daemon.cost_check import build_cost_check, estimate_of, judge
from autoresearch.daemon.crown import measure_at_end
from autoresearch.daemon.device_meters import meter_devices
from autoresearch.daemon.disk_space import LockNote, StartupWait, open_journal, wait_for_space
from autoresearch.daemon.earlier_runs import read_earlier_runs
from autoresearch.daemon.final_report import write_reports
from autoresearch.daemon.inputs import Inputs
from autoresearch.daemon.metering import meter_run, new_meter, spent_reason
from autoresearch.daemon.night_end import end_of_night
from autoresearch.daemon.observers.group import ObserverGroup
from autoresearch.daemon.packages import refuse_missing_proposer
from autoresearch.daemon.policy import Policy, build_early_stop, build_policy, check_policy, check_yardstick
from autoresearch.daemon.recorded_rule import keep_recorded_rule
from autoresearch.daemon.run_context import RunContext, RunTiming
from autoresearch.daemon.run_reader import read_run, run_cache
from autoresearch.daemon.run_settings import write_run_settings
from autoresearch.daemon.run_text import SIGNALS
from autoresearch.daemon.setup_text import describe_setup
from autoresearch.daemon.steady_baseline import SteadyBaseline
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import ConfigError
from autoresearch.hints import hint_after
from autoresearch.machine import boot_id, utc, without_gc
from autoresearch.proposers.factory import ProposerContext, open_proposer
from autoresearch.proposers.replay import Recording
from autoresearch.proposers.space import Space
from autoresearch.report.format import format_budget
from autoresearch.storage.disk_space import shortage
from autoresearch.storage.run_dir import ENVELOPE, PAUSE_FLAG, TRAJECTORY, VAULT, archive, hold_lock, run_files
from autoresearch.storage.vault_file import VaultFile
from autoresearch.trials.local_executor import LocalExecutor
from autoresearch.trials.pace import MAX_DEADLINE_FACTOR
from autoresearch.trials.remote.executor import RemoteExecutor
from autoresearch.trials.trial_budget import warmup_frac

FIRST_RECORD = b'"stage":"meta",'  # how the first line of every trajectory begins

# Builds the trial backend of a run; tests pass one with a fake trial.
MakeBackend = Callable[[Settings, Policy, Path, Callable[[], bool], Observer], TrialBackend]


def run(
    settings: Settings,
    observer: Observer,
    *,
    fresh: bool = False,
    replies: Recording = (),
    config: Path | None = None,
    make_backend: MakeBackend | None = None,
    timing: RunTiming = RunTiming(),
    on_end: Callable[[str], None] = lambda _reason: None,
) -> str:
    """Start or continue the run in ``settings.run_dir`` and block until it ends; return "complete" or the reason.

    ``config`` is the file that ``settings`` were read from; its content must not change during the run. ``on_end`` is
    told why the run may not go on, if it may not: also where it was complete just before.
    Raises an ``AutoresearchError`` for everything that the user must decide or repair.
    """
    refuse_invalid_zone(os.environ)
    inputs = watch_settings(settings, config)
    policy = build_policy(settings)
    with hold_lock(settings.run_dir) as lock:
        run_dir, startup_wait = settings.run_dir, StartupWait()
        observer = ObserverGroup(observer, LockNote(lock), startup_wait)
        if fresh:
            archive(run_dir, run_files(run_dir), observer.notify)
        cache = run_cache(run_dir)
        with closing(open_journal(run_dir / TRAJECTORY, FIRST_RECORD, observer, timing.sleep, cache.prefix)) as journal:
            if removed := journal.describe_removed():
                observer.notify(removed)
            with without_gc():
                trajectory, ends = read_run(journal, cache)
            observer.opened(trajectory)
            policy = keep_recorded_rule(policy, settings, trajectory, observer.notify)
            check_policy(trajectory, policy)
            is_raced = settings.crown == "off" or not race_is_due(trajectory)
            if ends and isinstance(ends[-1], LoopComplete) and trajectory.next_iter > settings.iters and is_raced:
                write_best_config(run_dir, trajectory, observer.notify)  # the daemon may have been killed before
                write_reports(settings, observer, unless_since=ends[-1].ts)
                return "complete"
            control = build_control(settings, run_dir, observer, ends, timing.now)
            notify_end(control, observer)
            wait_for_space(partial(shortage, run_dir, settings.limits.min_free_disk_mib), control, observer)
            settings = keep_compile_decision(settings, trajectory)
            meter = new_meter()
            context = RunContext(
                settings,
                policy,
                run_dir,
                journal,
                trajectory,
                observer,
                control,
                meter,
                replies,
                timing,
                inputs,
                startup_wait,
            )
            ending = run_with_backend(context, make_backend or real_backend)
            on_end(control.stop_reason())
            return ending


def notify_end(control: RunControl, observer: Observer) -> None:
    """Report when the clock ends the run, and where local time may not be the user's."""
    ends = control.describe_end()
    warning = zone_warning(os.environ)
    for message in [*ends, f"warning: {warning}"] if ends and warning else ends:
        observer.notify(message)


def watch_settings(settings: Settings, config: Path | None) -> Inputs:
    """Watch the files of settings that the user named. Raises ``ConfigError`` for one that cannot be read."""
    inputs = Inputs()
    for path in filter(None, (config, settings.menu_file)):
        try:
            inputs.watch(Path(path))
        except OSError as e:
            raise ConfigError(f"cannot read {path}: {e.strerror}", hint=hint_after(e, Path(path), "read")) from e
    return inputs


def run_with_backend(context: RunContext, make_backend: MakeBackend) -> str:
    """Build the trial backend, run the loop with it, close it."""
    settings, control, observer = context.settings, context.control, context.observer
    control.poll = context.meter.poll
    control.spent_reason = partial(spent_reason, settings, context.meter, context.trajectory)
    if settings.proposer == "replay":
        refuse_nothing_to_replay(context.replies)
    refuse_missing_proposer(settings)
    backend = make_backend(settings, context.policy, context.run_dir, control.must_abort, observer)
    context = replace(context, policy=context.policy.with_vocab(backend.vocab))
    if backend.yardstick.budget_kind == "flops":
        observer.notify(f"each trial trains with {format_budget(backend.yardstick)}")
    try:
        check_baseline(backend, context.policy)
        if backend.estimator and backend.estimator.speeds:
            count = len(backend.estimator.speeds)
            observer.notify(f"R7 estimates time from {count} measured speeds in {context.run_dir / ENVELOPE}")
        with control.listening():  # only now: before there is a trial to finish, a signal ends the process at once
            return run_loop(context, backend)
    finally:
        backend.close()


def run_loop(context: RunContext, backend: TrialBackend) -> str:
    """Check the yardstick, open proposer and meter, run the loop to its end, write the reports."""
    settings, control = context.settings, context.control
    if backend.command_files is not None:
        meta = context.trajectory.meta
        check_listing(context.run_dir, backend.command_files, meta.yardstick.command if meta else None)
    check_yardstick(context.trajectory, backend.yardstick)
    policy = context.policy
    estimate = partial(estimate_of, policy, backend, context.trajectory)
    proposer_context = ProposerContext(
        space=Space(
            policy.menu,
            policy.baseline,
            policy.steps,
            build_cost_check(backend, settings, estimate=estimate),
            settings.max_changes,
        ),
        judge=partial(judge, policy, backend, settings),
        run_dir=context.run_dir,
        stop_or_pause_requested=control.stop_or_pause_requested,
        notify=context.observer.notify,
        utc=utc,
        setup=describe_setup(backend.estimator, backend.train_tokens),
    )
    with (
        open_proposer(settings, proposer_context, context.replies) as proposer,
        meter_run(context, backend.select_sensor, proposer.name) as metering,
        closing(executor_of(context, backend)) as executor,
        meter_devices(context) as device_meters,
    ):
        loop = build_loop(context, backend, proposer, executor, device_meters)
        record_start(context, backend, loop, metering)
        ending = loop.run()
    write_best_config(context.run_dir, context.trajectory, context.observer.notify)
    write_reports(settings, context.observer, may_wait=lambda: control.stop_reason() not in SIGNALS)
    return ending


def executor_of(context: RunContext, backend: TrialBackend) -> LocalExecutor | RemoteExecutor:
    """The workers of this run: none where one trial runs after the other. Raises ``ConfigError``."""
    control, names = context.control, context.settings.executor.devices
    if backend.fleet is not None:
        return backend.fleet.open(control.must_abort, control.suspend_requested)
    return LocalExecutor(backend.workers, control.must_abort, control.suspend_requested, names)


def build_loop(
    context: RunContext,
    backend: TrialBackend,
    proposer: Proposer,
    executor: LocalExecutor | RemoteExecutor | None = None,
    device_meters: Mapping[str, Meter] = MappingProxyType({}),
) -> Loop:
    """The loop of this run, with nothing recorded yet. A run that was parallel before stays one."""
    settings, policy = context.settings, context.policy
    parallel = executor is not None and executor.capacity > 0
    several = executor is not None and (executor.capacity > 1 or backend.worker_count > 1)
    kind = ParallelLoop if several or context.trajectory.parallel else Loop
    more: dict[str, Any] = {"executor": executor} if parallel else {}
    if kind is ParallelLoop and isinstance(executor, LocalExecutor):
        more |= {"place_of": executor.place_of, "device_meters": device_meters}
    return kind(
        trajectory=context.trajectory,
        journal=context.journal,
        proposer=proposer,
        judge=partial(judge, policy, backend, settings),
        trial=SteadyBaseline(backend.trial, context.trajectory, context.control, context.observer.notify),
        control=context.control,
        observer=context.observer,
        rule=policy.rule,
        baseline_cfg=policy.baseline,
        iters=settings.iters,
        max_attempts=settings.limits.max_attempts,
        on_pause=settings.on_pause,
        boot_id=boot_id(),
        utc=utc,
        shortage=partial(shortage, context.run_dir, settings.limits.min_free_disk_mib),
        changed_input=lambda: context.inputs.change() or backend.inputs.change(),
        meter=context.meter,
        vault=VaultFile(context.run_dir / VAULT, context.observer.notify) if backend.has_vault else NullVault(),
        warmup_frac=lambda cfg: warmup_frac(context.trajectory.meta, cfg),
        exhausted_completes=settings.compose == "only",
        at_end=partial(measure_at_end, race=settings.crown == "on"),
        **more,
    )


def record_start(context: RunContext, backend: TrialBackend, loop: Loop, metering: Metering | None) -> None:
    """Record ``meta`` where the run is new, then ``started``."""
    if context.trajectory.meta is None:
        earlier = read_earlier_runs(
            context.settings, backend.yardstick, context.policy.baseline, context.observer.notify
        )
        climb = climb_of(context.settings, context.policy, backend.yardstick)
        meta = build_meta(context.settings, context.policy, backend.yardstick, backend.val_overlap, earlier, climb)
        loop.record(meta)
    ends_at = context.control.ends_at()
    loop.record(
        Started(
            ts=utc(),
            pid=os.getpid(),
            host=socket.gethostname(),
            boot_id=loop.boot_id,
            autoresearch_version=__version__,
            proposer=loop.proposer.name,
            iters_requested=context.settings.iters,
            torn_bytes=context.journal.torn_bytes,
            metering=metering,
            ends_at=ends_at.isoformat(timespec="seconds") if ends_at else None,
            zone=zone_name(ends_at) if ends_at else None,
            early_stop=build_early_stop(context.settings),
            workers=backend.worker_count or None,
        )
    )
    record_startup_wait(context.startup_wait, loop)
    write_run_settings(context.settings, context.observer.notify)


def record_startup_wait(wait: StartupWait, loop: Loop) -> None:
    """Record that the start waited for disk space and how long, now that there is space."""
    wait.is_over = True
    if wait.reason:
        loop.record(loop.paused(wait.reason, "disk_space").model_copy(update={"ts": wait.ts}))
        loop.record(Resumed(ts=utc(), paused_s=wait.seconds))


def keep_compile_decision(settings: Settings, trajectory: Trajectory) -> Settings:
    """``compile = "auto"`` replaced by what the run decided at its start: measured times vary, arithmetic must not."""
    if settings.compile != "auto" or trajectory.meta is None:
        return settings
    return settings.model_copy(update={"compile": "on" if trajectory.meta.yardstick.compiled else "off"})


def refuse_nothing_to_replay(replies: Recording) -> None:
    """Raise ``ConfigError`` where there is no recorded proposal to replay."""
    if not replies:
        hint = "name a trajectory or an exchanges.jsonl with proposals: --replay-from FILE"
        raise ConfigError("proposer = 'replay' has nothing to replay", hint=hint)


def build_meta(
    settings: Settings,
    policy: Policy,
    yardstick: Yardstick,
    val_overlap: float | None = None,
    earlier_runs: tuple[EarlierRun, ...] = (),
    climb: Climb | None = None,
) -> Meta:
    """The run's first record."""
    return Meta(
        ts=utc(),
        schema_version=SCHEMA_VERSION,
        run_id=uuid.uuid4().hex[:12],
        autoresearch_version=__version__,
        profile=settings.profile,
        yardstick=yardstick,
        yardstick_sha256=sha256_of(yardstick),
        baseline_cfg=policy.baseline,
        menu=dict(policy.menu.source),
        policy_sha256=sha256_of(policy.parts),
        decision_rule=policy.rule,
        val_overlap=val_overlap,
        vocab=policy.vocab,
        earlier_runs=earlier_runs,
        climb=climb,
        disturbed_baseline=settings.budget.disturbed_baseline,
    )


def build_control(
    settings: Settings,
    run_dir: Path,
    observer: Observer,
    records: Sequence[Any] = (),
    now: Callable[[], datetime] = datetime.now,
    elapsed_s: float = 0.0,
) -> RunControl:
    """Pause flag, signals and time limits; from ``records`` it finds when a night began that a crash interrupted.

    ``elapsed_s`` of ``max_hours`` are over already.
    """
    max_silence_s = MAX_DEADLINE_FACTOR * settings.limits.deadline_s
    until = end_of_night(settings.until, records, now(), max_silence_s) if settings.until else None
    return RunControl(
        run_dir / PAUSE_FLAG,
        until,
        settings.max_hours,
        pause_immediately=settings.pause_mode == "now",
        drain_max_s=settings.drain_max_s,
        now=now,
        window=Window.parse(settings.window) if settings.window else None,
        heartbeat=observer.heartbeat,
        elapsed_s=elapsed_s,
    )
