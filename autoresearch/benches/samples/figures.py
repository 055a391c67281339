"""The figures of a table of samples: each with what missing samples could change. Pure.

A figure is ``{"value", "lower", "upper"}``: with every missing or ungraded sample as wrong, and between all of them
wrong and all of them right. ``value`` is ``None`` where the figure is not defined; ``why`` says why. ``cases_below_k``
counts the cases with fewer than k samples that have a score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import fsum
from typing import Any

from autoresearch.benches.samples.ns_rows import EXTERNAL
from autoresearch.benches.samples.scores import Sample, ScoredCase
from autoresearch.benches.statistics.majority import Vote, clusters, majority_at_k, majority_at_k_nemo
from autoresearch.benches.statistics.missing import bounds, count_missing, filled, mean_of_cases
from autoresearch.benches.statistics.pass_at_k import Estimate, pass_at_k, pass_hat_k

Scores = dict[str, tuple[float | None, ...]]
Figure = dict[str, Any]
NO_ANSWERS = "upstream's own verdict (is_correct) comes without an answer"
Majority = Callable[[Sequence[Sequence[Vote]], int], Estimate]


def mean_figure(scores: Scores) -> Figure:
    """pass@1[avg-of-n]: the mean over cases of the mean over samples."""
    if not count_missing(scores):
        value = mean_of_cases(filled(scores, 0.0))
        return _figure(value, value, value)
    low, high = bounds(mean_of_cases, scores)
    return _figure(low, low, high)


def pass_figure(scores: Scores, k: int, *, every: bool = False) -> Figure:
    """pass@k, or with ``every`` pass^k."""
    found = [Counter(samples) for samples in scores.values()]  # of each case: how many are right, wrong, unknown
    if any(score not in (0.0, 1.0, None) for counts in found for score in counts):
        return _undefined("a score is neither 0 nor 1")
    estimate = pass_hat_k if every else pass_at_k
    low = estimate(((counts.total(), counts[1.0]) for counts in found), k)
    high = estimate(((counts.total(), counts[1.0] + counts[None]) for counts in found), k)
    if low.value is None or high.value is None:
        return _undefined(f"{low.too_few} of {low.cases} cases have fewer than {k} samples", low.too_few)
    below = sum(counts.total() - counts[None] < k for counts in found)
    return _figure(low.value, low.value, high.value) | ({"cases_below_k": below} if below else {})


def majority_figure(cases: Sequence[ScoredCase], method: str, k: int) -> Figure:
    """majority@k by the normalised answer.

    With missing or ungraded samples and k = n the bounds hold for every completion of the run: see ``_extremes``. With
    k < n they are not computed.
    """
    if why := _no_votes(cases):
        return _undefined(why)
    votes = [[(sample.answer, _known(sample, method, case.kind, 0.0)) for sample in case.samples] for case in cases]
    figure = _majority(votes, k, majority_at_k)
    if figure["value"] is None or all(score is not None for case in cases for score in case.scores(method)):
        return figure
    if any(len(case.samples) != k for case in cases):
        return {"value": figure["value"], "lower": None, "upper": None}
    extremes = [_extremes(case, method) for case in cases]
    low, high = (float(sum(column, Fraction(0)) / len(cases)) for column in zip(*extremes, strict=True))
    return _figure(figure["value"], low, high)


def majority_nemo_figure(cases: Sequence[ScoredCase], method: str, k: int) -> Figure:
    """majority@k as NeMo-Skills computes it: by the extracted answers of the first k samples; an ungraded one is wrong.

    Without bounds where one of these samples is missing or ungraded.
    """
    if why := _no_votes(cases):
        return _undefined(why)
    votes = [
        [(sample.extracted, _known(sample, method, case.kind, 0.0)) for sample in case.samples[:k]] for case in cases
    ]
    figure = _majority(votes, k, majority_at_k_nemo)
    if all(score is not None for case in cases for score in case.scores(method)[:k]):
        return figure
    return figure | {"lower": None, "upper": None}


def no_answer_figure(cases: Sequence[ScoredCase], *, of_all: bool) -> Figure:
    """The share of samples without an answer, or with ``of_all`` of cases none of whose samples has one.

    A missing sample may turn out to have none: it counts in ``upper`` only. Cases whose answers only upstream reads
    are left out.
    """
    cases = [case for case in cases if case.kind != EXTERNAL]
    if not cases:
        return _undefined(NO_ANSWERS)
    shares: list[tuple[Fraction, Fraction]] = []
    for case in cases:
        without = sum(sample.recorded and sample.answer is None for sample in case.samples)
        missing = sum(not sample.recorded for sample in case.samples)
        n = len(case.samples)
        if of_all:
            shares.append((Fraction(without == n), Fraction(without + missing == n)))
        else:
            shares.append((Fraction(without, n), Fraction(without + missing, n)))
    low, high = (float(sum(column, Fraction(0)) / len(cases)) for column in zip(*shares, strict=True))
    return _figure(low, low, high)


def _majority(votes: Sequence[Sequence[Vote]], k: int, estimate: Majority) -> Figure:
    """The mean of ``estimate`` over the cases; cases whose votes fall alike are computed once."""
    alike = Counter(map(_canonical, votes))
    too_few = sum(count for case, count in alike.items() if len(case) < k)
    if too_few or not votes:
        return _undefined(f"{too_few} of {len(votes)} cases have fewer than {k} samples", too_few)
    total = fsum(count * (estimate([case], k).value or 0.0) for case, count in alike.items())
    value = min(1.0, total / len(votes))
    return _figure(value, value, value)


def _canonical(votes: Sequence[Vote]) -> tuple[Vote, ...]:
    """The same votes without the text and the order of the answers, which have no influence where all votes count."""
    named: dict[str, list[float]] = {}
    for answer, score in votes:
        if answer is not None:
            named.setdefault(answer, []).append(score)
    parts = sorted(sorted(scores) for scores in named.values())
    unnamed = sorted(score for answer, score in votes if answer is None)
    return (
        *((str(number), score) for number, scores in enumerate(parts) for score in scores),
        *((None, score) for score in unnamed),
    )


def _no_votes(cases: Sequence[ScoredCase]) -> str:
    return NO_ANSWERS if any(case.kind == EXTERNAL for case in cases) else ""


def _known(sample: Sample, method: str, kind: str, unknown: float) -> float:
    score = sample.score(method, kind)
    return unknown if score is None else score


def _extremes(case: ScoredCase, method: str) -> tuple[Fraction, Fraction]:
    """Between which values the majority score of a case lies, whatever its missing samples answer.

    With m missing samples a cluster of s samples can win only where s + m reaches the largest cluster's size; its score
    then lies between that with m more wrong and with m more right ones. A tie averages over winners, so that it lies
    between them too. Ungraded samples have their answer, and count as wrong or right in their cluster.
    """
    present = [sample for sample in case.samples if sample.recorded]
    missing = len(case.samples) - len(present)
    lows, highs = (
        clusters([(sample.answer, _known(sample, method, case.kind, unknown)) for sample in present])
        for unknown in (0.0, 1.0)
    )
    largest = max((len(cluster) for cluster in lows), default=0)
    can_win = [i for i, cluster in enumerate(lows) if len(cluster) + missing >= largest]
    worst = [_sum(lows[i]) / (len(lows[i]) + missing) for i in can_win]
    best = [(_sum(highs[i]) + missing) / (len(highs[i]) + missing) for i in can_win]
    if not missing:  # it is known which clusters tie
        return sum(worst, Fraction(0)) / len(worst), sum(best, Fraction(0)) / len(best)
    if missing >= largest:  # the missing ones may agree on an answer of their own
        return Fraction(0), Fraction(1)
    return min(worst), max(best)


def _sum(scores: Sequence[float]) -> Fraction:
    return sum(map(Fraction, scores), Fraction(0))


def _figure(value: float, lower: float, upper: float) -> Figure:
    return {"value": value, "lower": lower, "upper": upper}


def _undefined(why: str, cases_below_k: int = 0) -> Figure:
    return {"value": None, "lower": None, "upper": None, "why": why, "cases_below_k": cases_below_k}
