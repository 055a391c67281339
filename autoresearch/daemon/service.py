"""The composition root: from settings to a running loop, and the checks that make continuing a run honest."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from autoresearch import __version__
from autoresearch.config.settings import Settings
from autoresearch.config.window import Window
from autoresearch.core.loop import Loop
from autoresearch.core.ports import Observer, Proposer
from autoresearch.core.power import Metering
from autoresearch.core.records import SCHEMA_VERSION, LoopComplete, Meta, Started, Yardstick
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import sha256_of
from autoresearch.daemon.backend import TrialBackend, check_baseline, judge, real_backend, refusal_for_cost
from autoresearch.daemon.control import RunControl
from autoresearch.daemon.final_report import write_report
from autoresearch.daemon.metering import meter_run, new_meter, spent_reason
from autoresearch.daemon.night_end import end_of_night
from autoresearch.daemon.policy import Policy, build_policy, check_policy, check_yardstick
from autoresearch.energy.meter import PowerMeter
from autoresearch.errors import ConfigError
from autoresearch.machine import boot_id, utc
from autoresearch.proposers.factory import ProposerContext, open_proposer
from autoresearch.proposers.replay import Recording
from autoresearch.proposers.space import Space
from autoresearch.storage.decode import decode_trajectory
from autoresearch.storage.journal import Journal
from autoresearch.storage.run_dir import ENVELOPE, PAUSE_FLAG, TRAJECTORY, archive, hold, run_files

# How a bench is made; tests pass one whose trial is a fake.
MakeBackend = Callable[[Settings, Policy, Path, Callable[[], bool], Observer], TrialBackend]


def run(
    settings: Settings,
    observer: Observer,
    *,
    fresh: bool = False,
    replies: Recording = (),
    make_backend: MakeBackend | None = None,
) -> str:
    """Begin or continue the run in ``settings.run_dir`` and stay until it ends; answers how ("complete", or why not).

    Raises an ``AutoresearchError`` for everything that a person must decide or mend.
    """
    policy = build_policy(settings)
    with hold(settings.run_dir) as run_dir:
        if fresh:
            archive(run_dir, run_files(run_dir), observer.notify)
        with closing(Journal(run_dir / TRAJECTORY)) as journal:
            return open_run(settings, policy, journal, observer, replies, make_backend or real_backend)


def open_run(
    settings: Settings,
    policy: Policy,
    journal: Journal,
    observer: Observer,
    replies: Recording,
    make_backend: MakeBackend,
) -> str:
    """Fold what is there, and put together what measures, unless nothing is left to do."""
    records = decode_trajectory(journal, journal.path)
    trajectory = Trajectory.fold(records)
    observer.opened(trajectory)
    check_policy(trajectory, policy)
    run_dir = journal.path.parent
    if records and isinstance(records[-1], LoopComplete) and trajectory.next_iter > settings.iters:
        write_report(run_dir, observer, again=False)  # a daemon may have been killed while it had them written
        return "complete"
    control, meter = build_control(settings, run_dir, observer, records), new_meter()
    control.poll, control.spent = meter.poll, partial(spent_reason, settings, meter, trajectory)
    if settings.proposer == "replay":
        refuse_nothing_to_replay(replies)
    if settings.compile == "auto" and trajectory.meta is not None:  # measured times vary, a run's arithmetic does not
        settings = settings.model_copy(update={"compile": "on" if trajectory.meta.yardstick.compiled else "off"})
    backend = make_backend(settings, policy, run_dir, control.must_abort, observer)
    try:
        check_baseline(backend, policy)
        if backend.estimator and backend.estimator.speeds:
            observer.notify(
                f"R7 prices time by {len(backend.estimator.speeds)} measured speeds in {run_dir / ENVELOPE}"
            )
        with control.listening():  # not before: until there is a trial to finish, a signal should simply end it
            return go_on(settings, policy, backend, journal, trajectory, control, meter, observer, replies)
    finally:
        backend.close()


def go_on(
    settings: Settings,
    policy: Policy,
    backend: TrialBackend,
    journal: Journal,
    trajectory: Trajectory,
    control: RunControl,
    meter: PowerMeter,
    observer: Observer,
    replies: Recording,
) -> str:
    """Everything is there: fix or check the yardstick, then loop."""
    check_yardstick(trajectory, backend.yardstick)
    context = ProposerContext(
        space=Space(policy.menu, policy.baseline, policy.steps, partial(refusal_for_cost, backend, settings)),
        judge=partial(judge, policy, backend, settings),
        run_dir=journal.path.parent,
        stop_or_pause_requested=control.stop_or_pause_requested,
        notify=observer.notify,
        utc=utc,
    )
    with (
        open_proposer(settings, context, replies) as proposer,
        meter_run(settings, backend, meter, context.run_dir, proposer.name, control, observer, trajectory) as metering,
    ):
        loop = build_loop(settings, policy, backend, journal, trajectory, control, meter, observer, proposer, metering)
        ending = loop.run()
    write_report(journal.path.parent, observer)
    return ending


def build_loop(
    settings: Settings,
    policy: Policy,
    backend: TrialBackend,
    journal: Journal,
    trajectory: Trajectory,
    control: RunControl,
    meter: PowerMeter,
    observer: Observer,
    proposer: Proposer,
    metering: Metering | None,
) -> Loop:
    """The loop with its first words said: ``meta`` where the run is new, and ``started``."""
    loop = Loop(
        trajectory=trajectory,
        journal=journal,
        proposer=proposer,
        judge=partial(judge, policy, backend, settings),
        trial=backend.trial,
        control=control,
        observer=observer,
        rule=policy.rule,
        baseline_cfg=policy.baseline,
        iters=settings.iters,
        max_attempts=settings.limits.max_attempts,
        on_pause=settings.on_pause,
        boot_id=boot_id(),
        utc=utc,
        meter=meter,
    )
    if trajectory.meta is None:
        loop.record(build_meta(settings, policy, backend.yardstick))
    loop.record(
        Started(
            ts=utc(),
            pid=os.getpid(),
            host=socket.gethostname(),
            boot_id=loop.boot_id,
            autoresearch_version=__version__,
            proposer=proposer.name,
            iters_requested=settings.iters,
            torn_bytes=journal.torn_bytes,
            metering=metering,
        )
    )
    return loop


def refuse_nothing_to_replay(replies: Recording) -> None:
    """Raise ``ConfigError`` for a replay of nothing."""
    if not replies:
        hint = "give --replay-from a trajectory or an exchanges.jsonl that holds proposals"
        raise ConfigError("proposer = 'replay' has nothing to replay", hint=hint)


def build_meta(settings: Settings, policy: Policy, yardstick: Yardstick) -> Meta:
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
    )


def build_control(
    settings: Settings, run_dir: Path, observer: Observer, records: Sequence[Any] = (), now: datetime | None = None
) -> RunControl:
    """The user's hand; ``records`` say when the night began, where this start goes on after a crash in it."""
    silent_s = settings.limits.deadline_s
    until = end_of_night(settings.until, records, now or datetime.now(), silent_s) if settings.until else None
    return RunControl(
        run_dir / PAUSE_FLAG,
        until,
        settings.max_hours,
        pauses_now=settings.pause_mode == "now",
        drain_max_s=settings.drain_max_s,
        window=Window.parse(settings.window) if settings.window else None,
        heartbeat=observer.heartbeat,
    )
