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
from autoresearch.core.ports import Proposer, Watcher
from autoresearch.core.power import Metering
from autoresearch.core.records import SCHEMA_VERSION, LoopComplete, Meta, Started, Yardstick
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import sha256_of
from autoresearch.daemon.backend import Bench, check_baseline, judge, real_bench, refusal_for_cost
from autoresearch.daemon.control import RunControl
from autoresearch.daemon.final_report import write_report
from autoresearch.daemon.metering import metered, new_meter, spent_reason
from autoresearch.daemon.night_end import end_of_night
from autoresearch.daemon.policy import Policy, check_policy, check_yardstick, policy_of
from autoresearch.energy.meter import PowerMeter
from autoresearch.errors import ConfigError
from autoresearch.machine import boot_id, utc
from autoresearch.proposers.factory import Surroundings, proposer_of
from autoresearch.proposers.replay import Recording
from autoresearch.proposers.space import Space
from autoresearch.storage.journal import Journal
from autoresearch.storage.run_dir import ENVELOPE, PAUSE_FLAG, TRAJECTORY, hold, old_run, set_aside
from autoresearch.storage.run_log import decode_all

# How a bench is made; tests pass one whose trial is a fake.
MakeBench = Callable[[Settings, Policy, Path, Callable[[], bool], Watcher], Bench]


def run(
    settings: Settings,
    watcher: Watcher,
    *,
    fresh: bool = False,
    replies: Recording = (),
    make_bench: MakeBench | None = None,
) -> str:
    """Begin or continue the run in ``settings.run_dir`` and stay until it ends; answers how ("complete", or why not).

    Raises an ``AutoresearchError`` for everything that a person must decide or mend.
    """
    policy = policy_of(settings)
    with hold(settings.run_dir) as run_dir:
        if fresh:
            set_aside(run_dir, old_run(run_dir), watcher.said)
        with closing(Journal(run_dir / TRAJECTORY)) as journal:
            return open_run(settings, policy, journal, watcher, replies, make_bench or real_bench)


def open_run(
    settings: Settings,
    policy: Policy,
    journal: Journal,
    watcher: Watcher,
    replies: Recording,
    make_bench: MakeBench,
) -> str:
    """Fold what is there, and put together what measures, unless nothing is left to do."""
    records = decode_all(journal, journal.path)
    trajectory = Trajectory.fold(records)
    watcher.opened(trajectory)
    check_policy(trajectory, policy)
    run_dir = journal.path.parent
    if records and isinstance(records[-1], LoopComplete) and trajectory.next_iter > settings.iters:
        write_report(run_dir, watcher, again=False)  # a daemon may have been killed while it had them written
        return "complete"
    control, meter = control_of(settings, run_dir, watcher, records), new_meter()
    control.look, control.spent = meter.look, partial(spent_reason, settings, meter, trajectory)
    if settings.proposer == "replay":
        refuse_nothing_to_replay(replies)
    if settings.compile == "auto" and trajectory.meta is not None:  # measured times vary, a run's arithmetic does not
        settings = settings.model_copy(update={"compile": "on" if trajectory.meta.yardstick.compiled else "off"})
    bench = make_bench(settings, policy, run_dir, control.must_drop, watcher)
    try:
        check_baseline(bench, policy)
        if bench.estimator and bench.estimator.speeds:
            watcher.said(f"R7 prices time by {len(bench.estimator.speeds)} measured speeds in {run_dir / ENVELOPE}")
        with control.listening():  # not before: until there is a trial to finish, a signal should simply end it
            return go_on(settings, policy, bench, journal, trajectory, control, meter, watcher, replies)
    finally:
        bench.close()


def go_on(
    settings: Settings,
    policy: Policy,
    bench: Bench,
    journal: Journal,
    trajectory: Trajectory,
    control: RunControl,
    meter: PowerMeter,
    watcher: Watcher,
    replies: Recording,
) -> str:
    """Everything is there: fix or check the yardstick, then loop."""
    check_yardstick(trajectory, bench.yardstick)
    around = Surroundings(
        space=Space(policy.menu, policy.baseline, policy.steps, partial(refusal_for_cost, bench, settings)),
        judge=partial(judge, policy, bench, settings),
        run_dir=journal.path.parent,
        wish=control.has_a_wish,
        said=watcher.said,
        utc=utc,
    )
    with (
        proposer_of(settings, around, replies) as proposer,
        metered(settings, bench, meter, around.run_dir, proposer.name, control, watcher, trajectory) as metering,
    ):
        loop = loop_of(settings, policy, bench, journal, trajectory, control, meter, watcher, proposer, metering)
        ending = loop.run()
    write_report(journal.path.parent, watcher)
    return ending


def loop_of(
    settings: Settings,
    policy: Policy,
    bench: Bench,
    journal: Journal,
    trajectory: Trajectory,
    control: RunControl,
    meter: PowerMeter,
    watcher: Watcher,
    proposer: Proposer,
    metering: Metering | None,
) -> Loop:
    """The loop with its first words said: ``meta`` where the run is new, and ``started``."""
    loop = Loop(
        trajectory=trajectory,
        journal=journal,
        proposer=proposer,
        judge=partial(judge, policy, bench, settings),
        trial=bench.trial,
        control=control,
        observer=watcher,
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
        loop.record(meta_of(settings, policy, bench.yardstick))
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


def meta_of(settings: Settings, policy: Policy, yardstick: Yardstick) -> Meta:
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


def control_of(
    settings: Settings, run_dir: Path, watcher: Watcher, records: Sequence[Any] = (), now: datetime | None = None
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
        window=Window.parsed(settings.window) if settings.window else None,
        waited=watcher.waited,
    )
