"""The replay of early stopping: order, audit, and the counts."""

from __future__ import annotations

import random

import pytest

from autoresearch.verdicts.curves import POINTS
from autoresearch.verdicts.early_stop import StopRule
from autoresearch.verdicts.early_stop_replay import FullTrial, Replayed, replay, summarise_stops, upper95

NEEDED = 0.005
RULE = StopRule()
BASELINE = [(k / POINTS, 3.0 + 2.0 * (1 - k / POINTS)) for k in range(1, POINTS + 1)]


def trial(n: int, gain: float, rng: random.Random) -> FullTrial:
    points = [(f, b * (1 - gain - rng.gauss(0, 0.003) * (1 - f))) for f, b in BASELINE]
    return FullTrial(f"g{n}", "0", points, BASELINE, "lr")


def night(n: int = 150) -> list[FullTrial]:
    rng = random.Random(5)
    return [trial(i, rng.gauss(-0.01, 0.015), rng) for i in range(n)]


def test_nothing_is_stopped_while_the_rule_learns_and_losers_are_stopped_later():
    done = replay(night(), NEEDED, RULE)
    assert not any(r.would_stop for r in done[:30])
    figures = summarise_stops(done, NEEDED, RULE)
    assert figures.reverts_stopped > 30
    assert figures.saved_frac > 0.2
    assert figures.keeps > 10
    assert figures.keeps_lost == 0
    assert figures.keeps + figures.reverts == figures.trials == 150


def test_a_trial_is_judged_by_earlier_ones_alone():
    whole, part = replay(night(150), NEEDED, RULE), replay(night(150)[:80], NEEDED, RULE)
    assert [(r.stop_at, r.audited) for r in whole[:80]] == [(r.stop_at, r.audited) for r in part]


def test_the_audit_saves_nothing_and_an_audited_keep_counts_as_lost():
    rng = random.Random(1)
    keep, loser = trial(0, 0.02, rng), trial(1, -0.02, rng)
    done = [Replayed(keep, 0.5, True, None), Replayed(loser, 0.25, False, None), Replayed(loser, 0.25, True, None)]
    figures = summarise_stops(done, NEEDED, RULE)
    assert (figures.keeps_lost, figures.audited, figures.audited_keeps, figures.stops) == (1, 2, 1, 3)
    assert figures.saved_frac == pytest.approx(0.75 / 2)


def test_without_a_keep_nothing_is_claimed_of_keeps():
    figures = summarise_stops([Replayed(trial(0, -0.1, random.Random(1)), 1.0, False, None)], NEEDED, RULE)
    assert (figures.keeps_lost_frac, figures.keeps_lost_upper95) == (None, 1.0)


@pytest.mark.parametrize(
    ("hits", "of", "bound"), [(0, 100, 1 - 0.05 ** (1 / 100)), (1, 10, 0.3942), (5, 5, 1.0), (0, 0, 1.0)]
)
def test_the_bound_is_that_of_clopper_and_pearson(hits, of, bound):
    assert upper95(hits, of) == pytest.approx(bound, abs=1e-4)
