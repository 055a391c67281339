"""Scores by case and sample, and what missing samples can change. Pure.

A score is a number from 0 to 1, or ``None`` where the sample is missing or ungraded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import fsum
from typing import TypeVar

Scores = Mapping[str, Sequence[float | None]]  # by case id, one per planned sample
T = TypeVar("T")


def count_missing(scores: Scores) -> int:
    """Planned samples without a score."""
    return sum(score is None for samples in scores.values() for score in samples)


def filled(scores: Scores, missing: float) -> dict[str, tuple[float, ...]]:
    """The scores with ``missing`` where there is none."""
    return {case: tuple(missing if score is None else score for score in samples) for case, samples in scores.items()}


def bounds(figure: Callable[[dict[str, tuple[float, ...]]], T], scores: Scores) -> tuple[T, T]:
    """``figure`` with every missing sample as 0, and with every one as 1.

    They enclose the result of the complete run if ``figure`` does not fall when a score rises, as do means, pass@k and
    pass^k. A vote (majority@k) is not such a figure: a missing sample can also change which answer wins.
    """
    return figure(filled(scores, 0.0)), figure(filled(scores, 1.0))


def case_means(scores: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The mean over the samples of each case. Raises ``ValueError`` for a case without samples."""
    empty = [case for case, samples in scores.items() if not samples]
    if empty:
        raise ValueError(f"case {empty[0]!r} has no planned sample")
    return {case: fsum(samples) / len(samples) for case, samples in scores.items()}


def mean_of_cases(scores: Mapping[str, Sequence[float]]) -> float:
    """The mean over cases of the mean over samples: pass@1[avg-of-n] where the scores are 0 and 1."""
    means = case_means(scores)
    if not means:
        raise ValueError("there is no case")
    return fsum(means.values()) / len(means)
