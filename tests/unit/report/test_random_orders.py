"""Best so far against random orders of the same gains: shares and bands against real shuffles."""

from __future__ import annotations

import itertools
import random
import time

import pytest

from autoresearch.report.random_orders import POINTS, ahead_of_random, order_band


def test_finding_the_best_first_is_ahead_of_every_order_and_last_of_none():
    gains = [0.05, 0.04, 0.03, 0.02, 0.01, 0.0, -0.01, -0.02]
    assert ahead_of_random(gains) > 0.9
    assert ahead_of_random(gains[::-1]) < 0.1
    assert ahead_of_random([0.01] * 8) == 0.5


def test_without_a_gain_or_with_few_of_them_an_order_means_nothing():
    assert ahead_of_random([-0.01] * 20) is None
    assert ahead_of_random([0.0] * 20) is None
    assert ahead_of_random([0.01, 0.02, -0.1, 0.0]) is None


def test_the_random_orders_are_distributed_as_shuffles_are():
    """The draws without shuffling against real shuffles of the same gains."""
    rng = random.Random(4)
    gains = [rng.gauss(0, 0.01) for _ in range(40)]
    for _ in range(5):
        rng.shuffle(gains)
        own = sum(itertools.accumulate((max(0.0, g) for g in gains), max))
        copy, below = list(gains), 0
        for _ in range(4000):
            rng.shuffle(copy)
            below += sum(itertools.accumulate((max(0.0, g) for g in copy), max)) < own
        assert ahead_of_random(gains) == pytest.approx(below / 4000, abs=0.06)


def test_ten_thousand_iterations_are_judged_in_less_than_two_seconds():
    rng = random.Random(4)
    began = time.process_time()
    assert ahead_of_random([rng.gauss(0, 0.01) for _ in range(10_000)]) is not None
    assert time.process_time() - began < 2


def test_the_band_holds_nine_of_ten_real_shuffles_at_every_point():
    rng = random.Random(5)
    gains = [rng.gauss(0, 0.01) for _ in range(40)]
    band = order_band(gains)
    shuffled = []
    for _ in range(4000):
        rng.shuffle(gains)
        shuffled.append(list(itertools.accumulate((max(0.0, g) for g in gains), max)))
    for point in band:
        values = sorted(one[point.measured - 1] for one in shuffled)
        below = sum(v < point.random_low_frac for v in values) / 4000
        above = sum(v > point.random_high_frac for v in values) / 4000
        assert max(below, above) <= 0.05 + 0.015
        assert sum(v <= point.random_median_frac for v in values) / 4000 >= 0.5 - 0.03
        assert point.random_low_frac <= point.random_median_frac <= point.random_high_frac


def test_the_band_ends_where_every_order_ends_and_has_the_runs_own_course():
    gains = [0.01, 0.0, 0.03, -0.02, 0.02]
    band = order_band(gains)
    assert [(p.measured, p.best_frac) for p in band] == [(1, 0.01), (2, 0.01), (3, 0.03), (4, 0.03), (5, 0.03)]
    assert {band[-1].random_low_frac, band[-1].random_median_frac, band[-1].random_high_frac} == {0.03}
    assert (band[0].random_low_frac, band[0].random_high_frac) == (0.0, 0.03)


@pytest.mark.parametrize("n", [5, 10, 11, 12, 59, 60, 61, 3000])
def test_a_long_run_has_a_bounded_number_of_points_that_end_with_the_last(n):
    band = order_band([0.001 * (k % 7) for k in range(n)])
    assert len(band) <= POINTS
    assert band[-1].measured == n
    assert len({p.measured for p in band}) == len(band)


def test_there_is_no_band_where_an_order_means_nothing():
    assert order_band([-0.01] * 20) == order_band([0.01] * 4) == []
