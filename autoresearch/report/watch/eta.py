"""How long it may still take. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from statistics import median

from autoresearch.report import History
from autoresearch.report.format import format_duration

LATEST = 50  # iterations: an early stretch of small or large models should not speak for the rest of the night


def typical_s(history: History) -> float | None:
    """The median of the latest iterations; before the first, what the baseline took."""
    walls = [row.wall_s for row in history.rows[-LATEST:] if row.wall_s is not None]
    if not walls and history.baseline and history.baseline.wall_s is not None:
        walls = [history.baseline.wall_s]
    return median(walls) if walls else None


def left_s(history: History, now: datetime) -> float | None:
    """Seconds until the last iteration is closed, at the pace of the latest ones; ``None`` where nothing tells.

    A run may end earlier, by ``--until`` or ``--max-hours``: its records do not say.
    """
    each = typical_s(history)
    if each is None or history.iters_requested is None:
        return None
    left = history.iters_requested - len(history.rows)
    since = history.open_trial.ts if history.open_trial and history.open_trial.iter else None
    spent = min(each, elapsed_s(since, now) or 0.0)
    return max(0.0, left * each - spent)


def elapsed_s(since: str | None, now: datetime) -> float | None:
    """Seconds since a record's ``ts``; ``None`` where it is no time, or one in the future (another clock wrote it)."""
    try:
        spent = (now - datetime.fromisoformat(since or "")).total_seconds()
    except (ValueError, TypeError, OverflowError):  # TypeError: a time without a zone
        return None
    return spent if spent >= 0 else None


def roughly(seconds: float) -> str:
    """An estimate, no finer than it deserves: it should not flicker."""
    if seconds < 45:
        return "less than a minute"
    return f"about {format_duration(seconds)}" if seconds >= 3600 else f"about {round(seconds / 60)} min"


def clock(now: datetime, seconds: float) -> str:
    """The local time in ``seconds``, with the day of the week where it is not clear which day is meant."""
    try:
        then = (now + timedelta(seconds=seconds)).astimezone(now.tzinfo)
    except (OverflowError, ValueError):
        return "some day"
    return f"{then:%H:%M}" if then - now < timedelta(hours=20) else f"{then:%a %d %b %H:%M}"
