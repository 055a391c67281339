"""The nightly window: through midnight, through the nights in which the clock changes, with a clock that is moved."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.config.window import Window

NIGHT = Window.parse("22:00-07:00")
DAY = datetime(2026, 11, 21)


def at(clock: str) -> datetime:
    return datetime.combine(DAY, time.fromisoformat(clock))


@pytest.mark.parametrize(
    ("clock", "is_open"),
    [
        ("21:59:59.999", False),
        ("22:00", True),
        ("23:59:59", True),
        ("00:00", True),
        ("06:59:59.999", True),
        ("07:00", False),
        ("15:00", False),
    ],
)
def test_it_runs_through_midnight(clock: str, is_open: bool) -> None:
    assert NIGHT.is_open(at(clock)) is is_open


@pytest.mark.parametrize(("clock", "is_open"), [("00:59", False), ("01:00", True), ("04:59", True), ("05:00", False)])
def test_one_within_a_day(clock: str, is_open: bool) -> None:
    assert Window.parse("1:00 - 5:00").is_open(at(clock)) is is_open


@pytest.mark.parametrize(("text", "hours"), [("22:00-00:00", 2), ("00:00-07:00", 7), ("12:00-11:00", 23)])
def test_midnight_is_an_end_and_a_beginning_as_any_other(text: str, hours: int) -> None:
    window = Window.parse(text)
    assert sum(window.is_open(DAY + timedelta(hours=h)) for h in range(24)) == hours


@given(st.times(), st.times())
def test_every_window_and_its_opposite_make_a_day(a: time, b: time) -> None:
    if a != b:
        one, other = Window(a, b), Window(b, a)
        for clock in (a, b, time(0), time(12), time.max):
            assert one.is_open(datetime.combine(DAY, clock)) is not other.is_open(datetime.combine(DAY, clock))


@pytest.mark.parametrize(
    "text",
    ["", "22:00", "22-07", "24:00-07:00", "22:60-07:00", "22:00-07:00-08:00", "22:00-7", "ten-seven", "7:00-07:00"],
)
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"22:00-07:00|same time"):
        Window.parse(text)


def test_it_reads_as_it_was_given() -> None:
    assert str(NIGHT) == "22:00-07:00"
    assert Window.parse(str(NIGHT)) == NIGHT


class TestTheClockChanges:
    """In Berlin 02:00 becomes 03:00 on 2027-03-28, and 03:00 becomes 02:00 again on 2027-10-31."""

    def open_hours(self, text: str, first: datetime) -> float:
        """Real hours, of a night that is followed second for second, from noon to noon."""
        try:
            berlin = ZoneInfo("Europe/Berlin")
        except ZoneInfoNotFoundError:
            pytest.skip("no time zones here")
        window, noon = Window.parse(text), first.replace(tzinfo=berlin).astimezone(UTC)
        quarters = range(4 * 26)
        moments = [(noon + timedelta(minutes=15 * n)).astimezone(berlin) for n in quarters]
        return sum(window.is_open(m) for m in moments if m.replace(tzinfo=None) < first + timedelta(days=1)) / 4

    @pytest.mark.parametrize(
        ("first", "text", "hours"),
        [
            (datetime(2027, 3, 26, 12), "22:00-07:00", 9.0),
            (datetime(2027, 3, 27, 12), "22:00-07:00", 8.0),
            (datetime(2027, 10, 30, 12), "22:00-07:00", 10.0),
            (datetime(2027, 3, 27, 12), "22:00-02:30", 4.0),  # 02:30 does not come: 03:00 is past it
            (datetime(2027, 3, 27, 12), "02:30-04:00", 1.0),  # nor does it open then: 03:00 is past that too
        ],
    )
    def test_a_night_is_as_long_as_the_wall_s_clock_makes_it(self, first: datetime, text: str, hours: float) -> None:
        assert self.open_hours(text, first) == hours


def test_a_clock_that_is_moved_is_believed() -> None:
    assert NIGHT.is_open(at("23:00"))
    assert not NIGHT.is_open(at("12:00"))
    assert NIGHT.is_open(at("23:00") - timedelta(days=400))
