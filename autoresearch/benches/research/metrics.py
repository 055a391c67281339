"""The figures of suite R, as pure functions: sets of papers (Wide), attempts (Deep), and ranks (retrieval)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch.benches.research.papers import Paper, find_paper


@dataclass(frozen=True, slots=True)
class SetScores:
    """How a predicted set of papers covers the gold set."""

    hits: int
    gold: int
    predicted: int

    @property
    def iou(self) -> float:
        """Intersection over union; 1 where both are empty."""
        union = self.gold + self.predicted - self.hits
        return self.hits / union if union else 1.0

    @property
    def precision(self) -> float:
        """Hits over predicted; 1 where both sets are empty, 0 where only the predicted one is."""
        return self.hits / self.predicted if self.predicted else float(not self.gold)

    @property
    def recall(self) -> float:
        """Hits over gold; 1 where both sets are empty, 0 where only the gold one is."""
        return self.hits / self.gold if self.gold else float(not self.predicted)


def set_scores(gold: Sequence[Paper], predicted: Sequence[Paper]) -> SetScores:
    """Compare two sets of papers; ``gold`` has each once. Predictions that are one paper count once."""
    hits: set[int] = set()
    others: list[Paper] = []
    for paper in predicted:
        place = find_paper(paper, gold)
        if place is not None:
            hits.add(place)
        elif find_paper(paper, others) is None:
            others.append(paper)
    return SetScores(len(hits), len(gold), len(hits) + len(others))


def recall_at_k(ranks: Sequence[int | None], k: int) -> float:
    """The share of the gold papers among the first ``k`` results. ``ranks``: of each gold paper from 1, or ``None``."""
    return _hits(ranks, k) / len(ranks)


def capped_recall_at_k(ranks: Sequence[int | None], k: int) -> float:
    """``recall_at_k`` with at most ``k`` papers in the denominator, so that 1 can be reached."""
    return _hits(ranks, k) / min(k, len(ranks))


def hit_at_k(ranks: Sequence[int | None], k: int) -> float:
    """1 where a gold paper is among the first ``k`` results, else 0."""
    return float(_hits(ranks, k) > 0)


def reciprocal_rank(ranks: Sequence[int | None]) -> float:
    """1 / the rank of the first gold paper; 0 where none was returned."""
    found = [rank for rank in ranks if rank is not None]
    return 1 / min(found) if found else 0.0


def _hits(ranks: Sequence[int | None], k: int) -> int:
    return sum(rank is not None and rank <= k for rank in ranks)


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over cases of the mean over their planned samples.

    ``low`` and ``high`` have the samples without a score as 0 and as 1; ``mean`` is ``None`` where there are such.
    """

    low: float
    high: float
    cases: int
    unknown: int  # samples without a score

    @property
    def mean(self) -> float | None:
        """The mean, if every planned sample has a score."""
        return None if self.unknown else self.low

    def plain(self) -> dict[str, float | int | None]:
        """As JSON."""
        return {
            "mean": self.mean,
            "low": self.low,
            "high": self.high,
            "cases": self.cases,
            "samples_without_score": self.unknown,
        }


def mean_of_cases(cases: Sequence[Sequence[float | None]]) -> Mean | None:
    """``None`` where there is no case. Each case counts the same, however many samples it has."""
    if not cases:
        return None
    low = [sum(score or 0.0 for score in case) / len(case) for case in cases]
    high = [sum(1.0 if score is None else score for score in case) / len(case) for case in cases]
    unknown = sum(score is None for case in cases for score in case)
    return Mean(sum(low) / len(low), sum(high) / len(high), len(cases), unknown)
