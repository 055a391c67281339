"""The composition root: from settings to a running loop, and the checks that make continuing a run honest."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from autoresearch import __version__
from autoresearch.bench import CHECKPOINT, Bench, Watcher, check_baseline, judge, real_bench, refusal_for_cost
from autoresearch.config import Settings
from autoresearch.control import FLAG, RunControl
from autoresearch.energy.meter import PowerMeter
from autoresearch.energy.telemetry import FILES as TELEMETRY_FILES
from autoresearch.environment import without_secrets
from autoresearch.errors import ConfigError, JournalDamaged, JournalError
from autoresearch.exchange_log import FILES as EXCHANGE_FILES
from autoresearch.files import DirectoryLock
from autoresearch.journal import Journal
from autoresearch.loop import Loop
from autoresearch.metering import metered, new_meter, spent_reason
from autoresearch.night import end_of_night
from autoresearch.points import ENVELOPE
from autoresearch.policy import Policy, check_policy, check_yardstick, policy_of
from autoresearch.ports import Proposer
from autoresearch.power import Metering
from autoresearch.proposers.replay import Recording
from autoresearch.proposers.space import Space
from autoresearch.proposing import Surroundings, proposer_of
from autoresearch.records import (
    SCHEMA_VERSION,
    LoopComplete,
    Meta,
    Started,
    Yardstick,
    decode,
    sha256_of,
)
from autoresearch.trajectory import Trajectory
from autoresearch.window import Window

TRAJECTORY = "trajectory.jsonl"
LOCK = "run.lock"
ARCHIVE = "archive"
REPORT, PAGE = "report.txt", "report.html"
REPORT_DEADLINE_S = 120.0


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
            set_aside(run_dir, old_run(run_dir), watcher)
        with closing(Journal(run_dir / TRAJECTORY)) as journal:
            return open_run(settings, policy, journal, watcher, replies, make_bench or real_bench)


@contextmanager
def hold(run_dir: Path) -> Iterator[Path]:
    """Be the one writer of a run directory, made if need be. Raises ``LockHeld`` or ``JournalError``."""
    lock = DirectoryLock(make_run_dir(run_dir) / LOCK)
    lock.acquire({"pid": os.getpid(), "host": socket.gethostname(), "since": utc()})
    try:
        yield run_dir
    finally:
        lock.release()


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


def decode_all(payloads: Iterable[bytes], path: Path) -> list[Any]:
    """Every record of the journal at ``path``. Raises ``JournalDamaged`` with the line number."""
    records = []
    for number, payload in enumerate(payloads, 1):
        try:
            records.append(decode(payload))
        except JournalDamaged as e:
            hint = "was it written by a newer version? `autoresearch run --fresh` begins anew and keeps it aside"
            raise JournalDamaged(f"{path}: line {number}: {e.what}", hint=hint) from e
    return records


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
        run_dir / FLAG,
        until,
        settings.max_hours,
        pauses_now=settings.pause_mode == "now",
        drain_max_s=settings.drain_max_s,
        window=Window.parsed(settings.window) if settings.window else None,
        waited=watcher.waited,
    )


def make_run_dir(run_dir: Path) -> Path:
    """The run's directory, made if it is not there. Raises ``JournalError``."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise JournalError(f"cannot make {run_dir}: {e.strerror}", hint="choose another --dir") from e
    return run_dir


def old_run(run_dir: Path) -> list[Path]:
    """What belongs to a run; the corpus and the measured speeds of the device do not."""
    names = (TRAJECTORY, "logs", CHECKPOINT)
    patterns = ("report.*", f"{TRAJECTORY}.torn-*", EXCHANGE_FILES, TELEMETRY_FILES)
    old = [p for p in (run_dir / name for name in names) if p.exists()]
    return old + [p for pattern in patterns for p in run_dir.glob(pattern)]


def set_aside(run_dir: Path, old: Sequence[Path], watcher: Watcher, what: str = "the old run") -> None:
    """``--fresh``: move what is old into archive/; nothing is deleted."""
    if not old:
        return
    target = run_dir / ARCHIVE / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    try:
        target.mkdir(parents=True)
        for path in old:
            path.rename(target / path.name)
    except OSError as e:
        raise JournalError(f"cannot move {what} to {target}: {e.strerror}", hint="move it by hand") from e
    watcher.said(f"{what} is kept in {target}")


def write_report(run_dir: Path, watcher: Watcher, *, again: bool = True) -> None:
    """Have children write the reports, or those that are missing: whatever is wrong with one cannot hurt the run."""
    for name, flags in reports().items():
        if again or not (run_dir / name).exists():
            watcher.waited("")  # each may take its deadline, and a service manager waits for little more than one
            _write_one(run_dir, name, flags, watcher)


def reports() -> dict[str, tuple[str, ...]]:
    """What can be written here, each with its flags: the page where its extra is installed."""
    page = {PAGE: ("--html",)} if find_spec("bokeh") and find_spec("jinja2") else {}
    return {REPORT: (), **page}


def _write_one(run_dir: Path, name: str, flags: Sequence[str], watcher: Watcher) -> None:
    command = [sys.executable, "-P", "-m", "autoresearch", "report", str(run_dir), *flags, "--out", str(run_dir / name)]
    try:
        env = without_secrets(os.environ)
        done = subprocess.run(command, capture_output=True, timeout=REPORT_DEADLINE_S, check=False, text=True, env=env)
        problem = done.stderr.strip() if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as e:
        problem = str(e)
    if problem:
        watcher.said(f"no {name} was written: {problem.splitlines()[-1]}")


def boot_id() -> str:
    """Changes with every boot of the machine; tells a lost machine from a lost process."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def utc() -> str:
    """Now, as records carry it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
