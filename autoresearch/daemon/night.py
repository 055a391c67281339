"""A night: a run, and after it what is measured of its winner with another budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer
from autoresearch.core.records import Event, LoopComplete, Resumed
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon import service
from autoresearch.daemon.control import RunControl
from autoresearch.daemon.final_report import write_reports
from autoresearch.daemon.metering import new_meter, refuse_unmetered_limit, spent_reason
from autoresearch.daemon.promote import SEEDS, promote
from autoresearch.daemon.run_reader import view_run
from autoresearch.daemon.service import MakeBackend
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import AutoresearchError
from autoresearch.hints import command
from autoresearch.proposers.replay import Recording
from autoresearch.report.promotion import promotion_lines, read_certificate
from autoresearch.storage.run_dir import TRAJECTORY

SPARE = 1.25  # times the expected duration must be left of the night


def run_night(
    settings: Settings,
    observer: Observer,
    *,
    fresh: bool = False,
    replies: Recording = (),
    config: Path | None = None,
    make_backend: MakeBackend | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """``service.run``; where it is complete, the winner at ``settings.promote`` times the budget, if there is time.

    A promotion that fails or is interrupted is reported and does not fail the run, which is complete.
    """
    began = clock()
    more: dict[str, Any] = {} if make_backend is None else {"make_backend": make_backend}
    stops: list[str] = []
    ending = service.run(settings, observer, fresh=fresh, replies=replies, config=config, on_end=stops.append, **more)
    if ending == "complete" and settings.promote > 1 and not any(stops):
        _promote(settings, observer, clock() - began, make_backend)
    return ending


def _promote(settings: Settings, observer: Observer, elapsed_s: float, make_backend: MakeBackend | None) -> None:
    run, records = view_run(settings.run_dir / TRAJECTORY)
    if run.meta is None or run.winner is None:
        return
    known = read_certificate(settings.run_dir, run.meta.run_id)
    if known and (known.iter, known.times) == (run.winner.iter, settings.promote):
        return
    by_hand = f"`{command('promote', settings.run_dir)} --times {settings.promote}`"
    needed_s = expected_s(run, settings.promote)
    control = control_after(settings, observer, elapsed_s, records)
    left_s = time_left_s(settings, control, elapsed_s)
    if left_s is not None and left_s < SPARE * needed_s:
        needed, left = (f"{max(0.0, s) / 60:.0f} min" for s in (needed_s, left_s))
        observer.notify(
            f"the winner is not trained longer: that takes about {needed}, and {left} are left; {by_hand} does it"
        )
        return
    observer.notify(f"training the winner and the baseline at {settings.promote} times the budget")
    try:
        certificate, complete = promote(
            settings,
            run,
            settings.promote,
            SEEDS,
            observer,
            make_backend=make_backend,
            control=control,
            limit=partial(energy_limit, settings, run),
        )
    except AutoresearchError as e:
        observer.notify(f"the winner was not trained longer: {e.what}; {by_hand} tries it again")
        return
    if not complete:
        why = control.stop_reason() or control.pause_reason()
        observer.notify(f"interrupted{f' ({why})' if why else ''}; {by_hand} resumes")
        return
    for line in promotion_lines(certificate):
        observer.notify(line)
    write_reports(settings, observer)


def expected_s(run: Trajectory, times: int) -> float:
    """What a promotion takes, from what the trials of the baseline and the winner took."""
    outcomes = [of.eval_metrics for of in (run.baseline, run.winner) if of]
    return times * SEEDS * sum(m.trial_wall_s or 0.0 for m in outcomes)


def control_after(
    settings: Settings,
    observer: Observer,
    elapsed_s: float = 0.0,
    records: Sequence[Event] = (),
    now: Callable[[], datetime] = datetime.now,
) -> RunControl:
    """The control of what follows a complete run: the night that began with the run goes on until its own end.

    A complete run that is started again soon after, for example by a service manager, does not begin a new night.
    """
    so_far = list(records)
    if so_far and isinstance(so_far[-1], LoopComplete):  # its time counts, and the night is not over with it
        so_far[-1] = Resumed(ts=so_far[-1].ts, paused_s=0.0)
    return service.build_control(settings, settings.run_dir, observer, so_far, now, elapsed_s=elapsed_s)


@contextmanager
def energy_limit(settings: Settings, run: Trajectory, control: RunControl, backend: TrialBackend) -> Iterator[None]:
    """Hold ``energy.max_kwh``, which the run may have spent in part, while the context is open.

    Raises ``ConfigError`` for a limit that cannot be enforced. Joules of a promotion that an earlier process began
    are not known.
    """
    limit, meter = settings.energy.max_kwh, new_meter()
    if limit is None:
        yield
        return
    opened = backend.select_sensor() if backend.select_sensor and settings.energy.meter == "auto" else None
    refuse_unmetered_limit(limit, opened, run)
    if opened is not None:
        meter.use(opened)
    control.poll = meter.poll
    control.spent_reason = partial(spent_reason, settings, meter, run)
    try:
        yield
    finally:
        meter.close()


def time_left_s(settings: Settings, control: RunControl, elapsed_s: float) -> float | None:
    """Seconds until the clock ends the night; ``None`` where it does not."""
    if control.stop_reason():
        return 0.0
    ends_at = control.ends_at()
    left = [] if ends_at is None else [ends_at.timestamp() - control.now().timestamp()]
    if settings.max_hours is not None:
        left.append(3600 * settings.max_hours - elapsed_s)
    return min(left, default=None)
