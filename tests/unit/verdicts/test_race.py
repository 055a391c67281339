"""Best-arm identification by successive elimination."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.verdicts.race import ALPHA, MAX_SEEDS, Elimination, RaceNoise, lower_bound, run_race

SEEDS = range(MAX_SEEDS)
NOISE = RaceNoise(0.005, 20.0)


def play(means: dict[int, float], sd: float, rng: random.Random, noise: RaceNoise = NOISE):
    losses: dict[tuple[int, int], float | None] = {}
    while (standing := run_race(list(means), SEEDS, losses, noise)).needed:
        arm, seed = standing.needed
        losses[arm, seed] = means[arm] + rng.gauss(0, sd)
    return standing, losses


def test_a_clear_winner_ends_the_race_early() -> None:
    standing, losses = play({0: 2.0, 1: 1.9, 2: 1.8}, 0.001, random.Random(1))
    assert standing.left == (2,)
    assert len(standing.seeds) == 2
    assert len(losses) == 6
    assert {e.arm for e in standing.eliminated} == {0, 1}


def test_the_best_arm_is_eliminated_in_at_most_the_stated_share_of_races() -> None:
    rng, lost, races = random.Random(7), 0, 400
    for _ in range(races):
        sd0 = 0.005 * (sum(rng.gauss(0, 1) ** 2 for _ in range(20)) / 20) ** 0.5  # as a run would know it
        standing, _ = play({0: 1.0, 1: 0.999, 2: 0.998, 3: 0.997}, 0.005 / 2**0.5, rng, RaceNoise(sd0, 20.0))
        lost += 3 not in standing.left
    assert lost <= races * ALPHA


def test_equal_arms_are_not_told_apart_and_the_race_is_bounded() -> None:
    standing, losses = play({0: 1.0, 1: 1.0}, 0.003, random.Random(3))
    assert standing.left == (0, 1)
    assert len(losses) == 2 * MAX_SEEDS


def test_an_arm_that_fails_leaves() -> None:
    losses = {(0, 0): 2.0, (1, 0): None}
    standing = run_race([0, 1], SEEDS, losses, NOISE)
    assert standing.left == (0,)
    assert standing.eliminated == (Elimination(1, 1, None),)
    assert standing.needed is None


def test_every_arm_that_is_left_runs_a_seed_before_the_next_one() -> None:
    assert run_race([0, 4], SEEDS, {}, NOISE).needed == (0, 0)
    assert run_race([0, 4], SEEDS, {(0, 0): 1.0}, NOISE).needed == (4, 0)
    assert run_race([0, 4], SEEDS, {(0, 0): 1.0, (4, 0): 1.0}, NOISE).needed == (0, 1)


def test_the_bound_is_students_with_the_known_noise_pooled() -> None:
    gains = (0.01, 0.02, 0.03)
    spread = (20 * 0.005**2 + 0.0002) / 22
    t = 2.073873067904015  # 97.5% quantile with 22 degrees of freedom, from a table
    assert lower_bound(gains, NOISE, 0.025) == pytest.approx(0.02 - t * (spread / 3) ** 0.5)


@given(st.integers(0, 1000), st.lists(st.floats(0.9, 1.1), min_size=2, max_size=4), st.floats(1e-4, 0.05))
def test_the_arms_are_divided_and_something_is_left(seed: int, means: list[float], sd: float) -> None:
    standing, losses = play(dict(enumerate(means)), sd, random.Random(seed))
    assert sorted([*standing.left, *(e.arm for e in standing.eliminated)]) == list(range(len(means)))
    assert standing.left
    assert len(losses) <= len(means) * MAX_SEEDS
