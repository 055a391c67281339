"""majority@k: the score of the answer that most of k samples give. Pure and exact.

A vote is a pair (answer, score): the normalised answer, or ``None`` where there is none, and the score of the sample,
0 to 1. Votes are clustered by the answer alone; each ``None`` is a cluster of its own, because two samples without an
answer do not agree. A cluster scores the mean of its members (a judge may score the same answer both ways), and a tie
the mean over the tied clusters.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from math import comb, lcm

from autoresearch.benches.statistics.pass_at_k import Estimate

Vote = tuple[str | None, float]


def majority_at_k(cases: Iterable[Sequence[Vote]], k: int) -> Estimate:
    """The mean over cases of the expected score of the majority of k samples drawn without replacement.

    The expectation is over all C(n,k) draws and exact, as in pass@k: the order of the samples has no influence. With
    k = n there is one draw, all samples; with k = 1 it equals pass@1[avg-of-n]. Absent where any case has n < k.
    """
    return _mean(cases, k, lambda votes: _expected_score(votes, k))


def majority_at_k_nemo(cases: Iterable[Sequence[Vote]], k: int) -> Estimate:
    """majority@k as NeMo-Skills computes it (``BaseMetrics._compute_majority_at_k``), for comparing with its output.

    It differs in three ways: the first k samples are taken, in order; samples without an answer do not vote, and where
    none has one the score is 0; a cluster is a pair of answer and score, so that an answer which was scored both ways
    is two clusters.
    """
    return _mean(cases, k, lambda votes: _nemo_score(votes[:k]))


def clusters(votes: Sequence[Vote]) -> list[list[float]]:
    """The scores of each cluster."""
    by_answer: dict[str, list[float]] = {}
    alone = []
    for answer, score in votes:
        if answer is None:
            alone.append([score])
        else:
            by_answer.setdefault(answer, []).append(score)
    return [*by_answer.values(), *alone]


def _mean(cases: Iterable[Sequence[Vote]], k: int, of_case: Callable[[Sequence[Vote]], Fraction]) -> Estimate:
    if k < 1:
        raise ValueError(f"k = {k} is not at least 1")
    every = list(cases)
    too_few = sum(len(votes) < k for votes in every)
    if too_few or not every:
        return Estimate(None, len(every), too_few)
    return Estimate(float(sum(map(of_case, every), Fraction(0)) / len(every)), len(every))


def _expected_score(votes: Sequence[Vote], k: int) -> Fraction:
    """The score depends on the sizes of the clusters and their sums only: many cases share them."""
    found = clusters(votes)
    return _score_of_clusters(tuple(sorted((len(c), sum(map(Fraction, c), Fraction(0))) for c in found)), k)


@functools.lru_cache(maxsize=1 << 16)
def _score_of_clusters(found: tuple[tuple[int, Fraction], ...], k: int) -> Fraction:
    """For each size t of the largest cluster drawn: the draws, by how many clusters tie and the sum of their means.

    Given how many members of a cluster are drawn, each choice of them is equally likely: the expected mean of those
    drawn is the mean of the cluster. Means are multiples of 1 / ``unit``, so that the sums are whole numbers.
    """
    unit = lcm(*((total / size).denominator for size, total in found))
    means = [int(total / size * unit) for size, total in found]
    sizes = [size for size, _ in found]
    score = Fraction(0)
    for top in range(1, min(k, max(sizes)) + 1):
        # (drawn so far, clusters with `top` drawn) -> (number of draws, sum over them of the means of those clusters)
        state: dict[tuple[int, int], tuple[int, int]] = {(0, 0): (1, 0)}
        for size, mean in zip(sizes, means, strict=True):
            following: dict[tuple[int, int], tuple[int, int]] = {}
            for (drawn, ties), (ways, sums) in state.items():
                for more in range(min(size, top, k - drawn) + 1):
                    factor = comb(size, more)
                    key = (drawn + more, ties + (more == top))
                    before_ways, before_sums = following.get(key, (0, 0))
                    added = sums + mean * ways if more == top else sums
                    following[key] = before_ways + factor * ways, before_sums + factor * added
            state = following
        score += sum((Fraction(s, ties) for (drawn, ties), (_, s) in state.items() if drawn == k and ties), Fraction(0))
    return score / unit / comb(sum(sizes), k)


def _nemo_score(votes: Sequence[Vote]) -> Fraction:
    counts: dict[Vote, int] = {}
    for vote in votes:
        if vote[0] is not None:
            counts[vote] = counts.get(vote, 0) + 1
    if not counts:
        return Fraction(0)
    tied = [score for (_, score), count in counts.items() if count == max(counts.values())]
    return sum(map(Fraction, tied), Fraction(0)) / len(tied)
