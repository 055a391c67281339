"""Clock times become moments, also in the nights in which the clock changes, and are shown with their zone."""

from __future__ import annotations

import time as system_time
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.config.local_time import format_clock, format_end, next_moment
from autoresearch.config.window import Window

BERLIN = ZoneInfo("Europe/Berlin")  # 02:00 becomes 03:00 on 2027-03-28, and 03:00 becomes 02:00 on 2027-10-31


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The zone of this process."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    system_time.tzset()
    yield
    monkeypatch.undo()
    system_time.tzset()


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("clock", "now", "then"),  # now and then in UTC
    [
        ("06:30", "2027-01-10T20:00", "2027-01-11T05:30"),
        ("21:00", "2027-01-10T20:00", "2027-01-11T20:00"),  # now: the next one is tomorrow's
        ("06:30", "2027-03-27T21:00", "2027-03-28T04:30"),  # an hour earlier than in the night before
        ("06:30", "2027-10-30T21:00", "2027-10-31T05:30"),
        ("02:30", "2027-03-27T21:00", "2027-03-28T01:00"),  # skipped: at the jump
        ("02:30", "2027-03-28T01:30", "2027-03-29T00:30"),
        ("02:30", "2027-10-30T21:00", "2027-10-31T00:30"),  # the first of the two
        ("02:30", "2027-10-31T00:40", "2027-10-31T01:30"),  # 02:40 summer time: the second is to come
        ("02:30", "2027-10-31T01:30", "2027-11-01T01:30"),
    ],
)
def test_the_next_moment(in_berlin: None, clock: str, now: str, then: str) -> None:
    there = utc(now).astimezone(BERLIN)
    naive = datetime.fromtimestamp(utc(now).timestamp())
    for start in (there, naive):
        assert next_moment(time.fromisoformat(clock), start).timestamp() == utc(then).timestamp()


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), st.times().map(lambda t: t.replace(microsecond=0)))
def test_it_is_later_within_two_days_and_shows_that_time_unless_it_is_skipped(now: datetime, clock: time) -> None:
    there = now.replace(tzinfo=UTC).astimezone(BERLIN)
    then = next_moment(clock, there)
    assert timedelta(0) < then.astimezone(UTC) - there.astimezone(UTC) <= timedelta(hours=25, minutes=1)
    assert then.time() == clock or (then.hour, then.minute, then.month) == (3, 0, 3)


@pytest.mark.parametrize(
    ("now", "text"),
    [
        ("2027-01-10T20:00", "06:30 CET, in 9 h 30 min"),
        ("2027-07-10T20:00", "06:30 CEST, in 8 h 30 min"),
        ("2027-03-27T20:00", "06:30 CEST, in 8 h 30 min"),  # across the change
        ("2027-10-30T20:00", "06:30 CET, in 9 h 30 min"),
        ("2027-01-11T05:00", "06:30 CET, in 30 min"),
        ("2027-01-11T06:00", "Tue 06:30 CET, in 23 h 30 min"),
    ],
)
def test_an_end_has_its_zone_and_remaining_time(in_berlin: None, now: str, text: str) -> None:
    for start in (utc(now).astimezone(BERLIN), datetime.fromtimestamp(utc(now).timestamp())):
        assert format_end(next_moment(time(6, 30), start), start) == text


def test_a_zone_without_a_name_is_its_offset() -> None:
    assert format_clock(datetime(2027, 1, 1, 6, 30, tzinfo=ZoneInfo("America/Sao_Paulo"))) == "06:30 UTC-03"


@pytest.mark.parametrize(
    ("text", "now", "is_open"),  # in UTC, in the night in which 02:00 to 03:00 comes twice
    [
        ("02:15-06:00", "2027-10-31T00:10", False),
        ("02:15-06:00", "2027-10-31T00:20", True),
        ("02:15-06:00", "2027-10-31T01:10", True),  # 02:10 again: it opened an hour ago
        ("22:00-02:30", "2027-10-31T00:20", True),
        ("22:00-02:30", "2027-10-31T00:40", False),
        ("22:00-02:30", "2027-10-31T01:10", False),  # 02:10 again: it does not open once more
    ],
)
def test_a_window_opens_and_closes_once_in_a_night(in_berlin: None, text: str, now: str, is_open: bool) -> None:
    for there in (utc(now).astimezone(BERLIN), datetime.fromtimestamp(utc(now).timestamp())):
        assert Window.parse(text).is_open(there) is is_open
