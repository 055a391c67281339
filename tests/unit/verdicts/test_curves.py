"""Gaps of two curves on one grid."""

from __future__ import annotations

import pytest

from autoresearch.verdicts.curves import POINTS, gaps, interpolate, mean_curve

BASELINE = [(k / POINTS, 4.0) for k in range(1, POINTS + 1)]


def test_a_gap_is_relative_to_the_baseline_and_positive_where_the_candidate_is_better():
    found = gaps([(1 / 32, 5.0), (2 / 32, 3.0)], BASELINE)
    assert found == (-0.25, 0.25)


def test_a_curve_on_another_grid_is_interpolated_between_its_points_only():
    found = gaps([(0.25, 4.0), (0.75, 2.0)], BASELINE)
    assert len(found) == 24  # up to its last point
    assert found[:7] == (None,) * 7
    assert found[15] == pytest.approx(0.25)  # at a half: 3 against 4


def test_points_after_the_moment_are_not_seen():
    candidate = [(0.25, 4.0), (0.5, 3.0), (1.0, 1.0)]
    assert gaps(candidate, BASELINE, until=0.6) == gaps(candidate[:2], BASELINE)


def test_nothing_is_known_outside_a_curve():
    points = [(0.2, 3.0), (0.8, 1.0)]
    assert interpolate(points, 0.1) is None
    assert interpolate(points, 0.9) is None
    assert [interpolate(points, f) for f in (0.2, 0.5, 0.8)] == [3.0, pytest.approx(2.0), 1.0]


def test_the_mean_of_curves_ends_where_one_of_them_is_not_known():
    assert mean_curve([[(0.5, 3.0), (1.0, 2.0)], [(0.75, 2.0), (1.0, 1.0)]]) == [(1.0, 1.5)]
