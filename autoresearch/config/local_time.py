"""Local time: the next moment of a clock time through the nights in which the clock changes, in words with its zone.

A ``datetime`` is local: naive, like ``datetime.now()``, or with its zone. Moments are compared as POSIX timestamps, for
which a naive one counts in the zone of this process.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, tzinfo

HOUR_S = 3600.0
WITH_DAY_S = 20 * HOUR_S  # a moment further away is given with its weekday


def next_moment(clock: time, now: datetime) -> datetime:
    """The next moment at which the local clock shows ``clock``, or jumps over it because its time changes."""
    for days in range(3):
        for moment in moments(clock, now.date() + timedelta(days=days), now.tzinfo):
            if moment.timestamp() > now.timestamp():
                return moment
    raise AssertionError("two days without a clock time")


def moments(clock: time, day: date, zone: tzinfo | None) -> Iterator[datetime]:
    """When the local clock shows ``clock`` on ``day``: twice where it is set back, at the jump where it skips it."""
    shown = datetime.combine(day, clock, zone)
    first, second = (shown.replace(fold=fold).timestamp() for fold in (0, 1))
    if first > second:  # both exist only outside of a jump; the jump lies between them
        yield _jump(second, first, zone)
        return
    yield shown
    if second > first:
        yield shown.replace(fold=1)


def _jump(before: float, after: float, zone: tzinfo | None) -> datetime:
    """The first moment with another offset from UTC, to the second."""
    old = _offset(before, zone)
    low, high = int(before), int(after)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(middle, zone) == old else (low, middle)
    return datetime.fromtimestamp(high, zone)


def _offset(timestamp: float, zone: tzinfo | None) -> timedelta | None:
    moment = datetime.fromtimestamp(timestamp, zone)
    return (moment if zone else moment.astimezone()).utcoffset()


def format_clock(moment: datetime, now: datetime | None = None) -> str:
    """``06:30 CET``; with the weekday where it is far from ``now``."""
    day = "%a " if now and abs(moment.timestamp() - now.timestamp()) >= WITH_DAY_S else ""
    return f"{moment:{day}%H:%M} {zone_name(moment)}"


def format_end(moment: datetime, now: datetime) -> str:
    """``06:30 CET, in 8 h 12 min``."""
    minutes = max(0, round((moment.timestamp() - now.timestamp()) / 60))
    left = f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
    return f"{format_clock(moment, now)}, in {left}"


def zone_name(moment: datetime) -> str:
    """The zone's abbreviation at that moment, for example CET; ``UTC-03`` where it has none."""
    name = (moment if moment.tzinfo else moment.astimezone()).tzname() or "local time"
    return name if name[:1].isalpha() else f"UTC{name}"
