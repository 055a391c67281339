"""When a night ends: the next ``until`` after the night began, also where a crash interrupted it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta

from autoresearch.config.local_time import next_moment
from autoresearch.core.records import Event, LoopComplete, Started, Stopped


def next_time(clock_time: str, now: datetime) -> datetime:
    """The next moment at which the local clock shows ``HH:MM``."""
    hour, minute = map(int, clock_time.split(":"))
    return next_moment(time(hour, minute), now)


# A service manager restarts a crashed daemon for an hour at most (StartLimitIntervalSec of the unit).
RESTARTS_S = 3600.0


def end_of_night(until: str, records: Sequence[Event], now: datetime, max_silence_s: float) -> datetime:
    """The end in local time; in the past where a daemon that crashed restarts only after it.

    A night begins with the first ``started`` after the last regular end. A start later than ``max_silence_s`` (how long
    a healthy daemon may write nothing) plus an hour after the last record is not a restart after a crash: it begins a
    new night.
    """
    begin = _begin(records)
    longest = timedelta(seconds=max_silence_s + RESTARTS_S)
    silence_s = now.timestamp() - datetime.fromisoformat(records[-1].ts).timestamp() if records else 0.0
    is_restart = begin is not None and silence_s <= longest.total_seconds()
    return next_time(until, _local(begin.ts) if begin is not None and is_restart else now)


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
    """A record's timestamp as naive local time, like ``datetime.now()``."""
    return datetime.fromisoformat(ts).astimezone().replace(tzinfo=None)
