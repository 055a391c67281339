"""Real trials of a baseline and a candidate, judged in many random orders of their seeds: power without a simulator."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from autoresearch.verdicts.noise import pooled_noise
from autoresearch.verdicts.rule import SequentialRule
from autoresearch.verdicts.sequential import judge


@dataclass(frozen=True, slots=True)
class Orders:
    """What the rule decided in ``orders`` random orders of the same seeds, and the candidate's trials together."""

    orders: int
    keeps: int
    trials: int


def replay_orders(
    baseline: Sequence[float],
    candidate: Sequence[float],
    rule: SequentialRule,
    *,
    orders: int,
    baseline_seeds: int,
    seed: int = 0,
) -> Orders:
    """Judge the candidate as the first test of a run, in random orders of the seeds; values are paired by place.

    The orders share their trials: the result says what the rule does with these trials, not how another sample of
    seeds would turn out. An order that needs more seeds than there are is not kept. Raises ``ValueError`` if the two
    have different lengths or are empty.
    """
    if not baseline or len(baseline) != len(candidate):
        raise ValueError(f"{len(baseline)} trials of the baseline and {len(candidate)} of the candidate")
    rng, places = random.Random(seed), list(range(len(baseline)))
    keeps = trials = 0
    for _ in range(orders):
        rng.shuffle(places)
        kept, n = _judge_order([baseline[i] for i in places], [candidate[i] for i in places], rule, baseline_seeds)
        keeps += kept
        trials += n
    return Orders(orders, keeps, trials)


def _judge_order(
    baseline: Sequence[float], candidate: Sequence[float], rule: SequentialRule, baseline_seeds: int
) -> tuple[bool, int]:
    for n in range(1, len(candidate) + 1):
        reference = abs(fmean(baseline[:n]))  # the loss of a metric of which more is better is below 0
        gains = [(b - c) / reference for b, c in zip(baseline[:n], candidate[:n], strict=True)]
        noise = pooled_noise(baseline[: max(n, baseline_seeds)], [gains], candidate[:n])
        if decision := judge(gains, noise, rule, 1).decision:
            return decision == "keep", n
    return False, len(candidate)
