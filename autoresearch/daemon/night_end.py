"""When the night ends: the clock time of ``until``, counted from when the night began and not from a crash in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from autoresearch.core.records import Event, LoopComplete, Started, Stopped


def next_time(clock_time: str, now: datetime) -> datetime:
    """The next moment at which the local clock shows ``HH:MM``."""
    hour, minute = map(int, clock_time.split(":"))
    today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)


# A service manager that starts a crashed daemon again does so for an hour at most (StartLimitIntervalSec of the unit).
RESTARTS_S = 3600.0


def end_of_night(until: str, records: Sequence[Event], now: datetime, silent_s: float) -> datetime:
    """The end, as the local clock shows it; in the past where a crash reached beyond it.

    A night begins with the first ``started`` behind the last good end. A start that comes later than ``silent_s`` (how
    long a daemon that is well may write nothing) and an hour behind the last record is no restart after a crash: it
    begins a night of its own.
    """
    begin = _begin(records)
    longest = timedelta(seconds=silent_s + RESTARTS_S)
    goes_on = begin is not None and now - _local(records[-1].ts) <= longest
    return next_time(until, _local(begin.ts) if begin is not None and goes_on else now)


def _begin(records: Sequence[Event]) -> Started | None:
    begin = None
    for record in records:
        match record:
            case Started():
                begin = begin or record
            case Stopped() | LoopComplete():
                begin = None
    return begin


def _local(ts: str) -> datetime:
    """A record's time, without its zone, as ``datetime.now()`` has it."""
    return datetime.fromisoformat(ts).astimezone().replace(tzinfo=None)
