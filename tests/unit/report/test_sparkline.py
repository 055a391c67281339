"""The curve in one line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autoresearch.report.sparkline import BARS, BLOCKED, FAILED, Scale, sparkline

POINTS = st.lists(st.floats(-1e6, 1e6) | st.sampled_from([FAILED, BLOCKED]), max_size=300)


def scale_of(points):
    return Scale.of([p for p in points if not isinstance(p, str)])


def test_low_is_a_low_bar_and_what_was_not_measured_has_a_mark():
    points = [3.0, FAILED, 2.0, BLOCKED, 1.0]
    assert sparkline(points, 80, scale_of(points)) == f"█{FAILED}▅·▁"


def test_a_stretch_shows_its_lowest_or_else_its_failure():
    points = [3.0, 1.0, FAILED, BLOCKED, BLOCKED, BLOCKED, 3.0, 3.0]
    assert sparkline(points, 4, scale_of(points)) == f"▁{FAILED}·█"


def test_one_runaway_does_not_flatten_the_rest():
    points = [10.95, 10.9, 10.85, 10.92, 10.94, 13.75]
    scale = scale_of(points)
    assert scale is not None
    assert scale.clipped
    assert sparkline(points, 80, scale) == "█▅▁▆██"


def test_equal_values_are_low_and_anything_above_them_high():
    scale = Scale.of([2.0, 2.0])
    assert scale is not None
    assert (scale.bar(2.0), scale.bar(2.1)) == (BARS[0], BARS[-1])


def test_without_measurements_there_is_no_scale():
    assert Scale.of([]) is None
    assert sparkline([FAILED, BLOCKED], 80, None) == FAILED + BLOCKED
    assert sparkline([1.0], 0, Scale.of([1.0])) == ""


@given(POINTS, st.integers(1, 100))
def test_the_line_is_as_long_as_there_are_points_and_never_longer_than_the_width(points, width):
    line = sparkline(points, width, scale_of(points))
    assert len(line) == min(width, len(points))
    assert set(line) <= set(BARS + FAILED + BLOCKED)


@given(POINTS, st.integers(1, 100))
def test_the_lowest_of_all_is_always_seen(points, width):
    scale = scale_of(points)
    assert (BARS[0] in sparkline(points, width, scale)) == (scale is not None)


@given(st.lists(st.floats(1, 10), min_size=1, max_size=20), st.floats(0, 20), st.floats(0, 20))
def test_a_higher_value_never_has_a_lower_bar(values, a, b):
    scale = Scale.of(values)
    assert scale is not None
    low, high = sorted((a, b))
    assert BARS.index(scale.bar(low)) <= BARS.index(scale.bar(high))
