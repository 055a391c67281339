"""Which child past its deadline gets more time."""

from __future__ import annotations

import pytest

from autoresearch.trials.pace import Pace


def paced(*reports: tuple[float, str, float]) -> Pace:
    """After reports of (seconds, phase, fraction)."""
    pace = Pace()
    for now, phase, fraction in reports:
        pace.note(phase, fraction, now)
    return pace


HALF = ((1.0, "train", 0.0), (50.0, "train", 0.25), (100.0, "train", 0.5))


def test_one_that_has_reported_nothing_gets_none() -> None:
    assert not paced().would_finish(100.0, 300.0, 10.0)


def test_one_that_would_finish_in_time() -> None:
    assert paced(*HALF).would_finish(100.0, latest=200.0, patience_s=10.0)
    assert not paced(*HALF).would_finish(100.0, latest=198.0, patience_s=10.0)


def test_one_that_stands_still_gets_none() -> None:
    pace = paced(*HALF, *((float(now), "train", 0.5) for now in range(101, 210)))
    assert pace.would_finish(109.0, 300.0, 10.0)
    assert not pace.would_finish(209.0, 400.0, 10.0), "twice its longest step so far is over"


def test_one_whose_only_report_is_its_start_gets_none() -> None:
    assert not paced((99.9, "train", 0.5)).would_finish(100.0, 300.0, 10.0)


def test_one_that_resumed_is_judged_by_what_it_has_done_since() -> None:
    pace = paced((0.0, "train", 0.8), (100.0, "train", 0.9))
    assert pace.would_finish(100.0, 200.0, 10.0)
    assert not pace.would_finish(100.0, 199.0, 10.0)


@pytest.mark.parametrize(("now", "goes_on"), [(150.0, True), (199.0, True), (200.0, False)])
def test_a_validation_may_take_as_long_as_the_training(now: float, goes_on: bool) -> None:
    pace = paced(*HALF, (100.0, "validate", 1.0))
    assert pace.would_finish(now, 300.0, 1.0) == goes_on


def test_no_pace_reaches_past_the_latest_end() -> None:
    assert not paced(*HALF).would_finish(301.0, 300.0, 1000.0)
