"""Estimate the remaining time of a run. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from statistics import median

from autoresearch.config.local_time import zone_name
from autoresearch.report import History
from autoresearch.report.format import format_duration

RECENT = 50  # iterations: earlier ones, with smaller or larger models, say little about the rest of the run


def median_iteration_s(history: History) -> float | None:
    """The median wall time of the recent iterations; before the first one, the baseline's; ``None`` if unknown."""
    walls = [row.wall_s for row in history.rows[-RECENT:] if row.wall_s is not None]
    if not walls and history.baseline and history.baseline.wall_s is not None:
        walls = [history.baseline.wall_s]
    return median(walls) if walls else None


def estimate_left_s(history: History, now: datetime) -> float | None:
    """Seconds until the last iteration is closed, at the pace of the recent ones; ``None`` if unknown.

    A run may end earlier, by ``--until`` or ``--max-hours``: its records do not contain these settings.
    """
    each = median_iteration_s(history)
    if each is None or history.iters_requested is None:
        return None
    left = history.iters_requested - len(history.rows)
    since = history.open_trial.ts if history.open_trial and history.open_trial.iter else None
    spent = min(each, elapsed_s(since, now) or 0.0)
    return max(0.0, left * each - spent)


def elapsed_s(since: str | None, now: datetime) -> float | None:
    """Seconds since a record's ``ts``; ``None`` if it is not a time or is in the future (another clock wrote it)."""
    try:
        spent = (now - datetime.fromisoformat(since or "")).total_seconds()
    except (ValueError, TypeError, OverflowError):  # TypeError: a time without a zone
        return None
    return spent if spent >= 0 else None


def format_estimate(seconds: float) -> str:
    """An estimate in whole minutes, so that it does not change with every frame: ``about 18 min``."""
    if seconds < 45:
        return "less than a minute"
    return f"about {format_duration(seconds)}" if seconds >= 3600 else f"about {round(seconds / 60)} min"


def format_clock(now: datetime, seconds: float) -> str:
    """The local time in ``seconds`` from ``now``, with its zone; with weekday and date if it is 20 hours away."""
    try:
        then = (now + timedelta(seconds=seconds)).astimezone(now.tzinfo)
    except (OverflowError, ValueError):
        return "an unknown time"
    day = "" if then - now < timedelta(hours=20) else f"{then:%a %d %b} "
    return f"{day}{then:%H:%M} {zone_name(then)}"
