"""Statistics of the proposals by their source, over records or over rows of any log. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, NamedTuple

from autoresearch.core.records import SourceCredit
from autoresearch.core.results import Result


class SourceOutcome(NamedTuple):
    """How one iteration with a proposal of ``source`` ended: all that the statistics need of it."""

    source: str | None  # None: the log does not record it
    iter: int
    stage: Literal["evaluated", "stopped_early", "eval_failed", "blocked"]
    is_keep: bool = False
    improvement_frac: float | None = None  # of a measured candidate


@dataclass(frozen=True, slots=True)
class SourceStats:
    """The counts and gains of one source. Gains are fractions of the baseline's val_bpb; ``None`` if none is known."""

    source: str | None
    iterations: int  # closed with a candidate of this source: measured + stopped early + failed
    blocked: int
    measured: int
    failed: int
    keeps: int
    mean_improvement_frac: float | None  # over the measured ones
    best_improvement_frac: float | None
    best_iter: int | None  # the first of equal ones
    stopped_early: int


def compute_source_stats(outcomes: Iterable[SourceOutcome]) -> list[SourceStats]:
    """One entry per source, in the order of their first outcomes."""
    by_source: dict[str | None, list[SourceOutcome]] = {}
    for outcome in outcomes:
        by_source.setdefault(outcome.source, []).append(outcome)
    return [_stats_of_one(source, of_source) for source, of_source in by_source.items()]


def _stats_of_one(source: str | None, outcomes: list[SourceOutcome]) -> SourceStats:
    measured = [o for o in outcomes if o.stage == "evaluated"]
    blocked, stopped = (sum(o.stage == stage for o in outcomes) for stage in ("blocked", "stopped_early"))
    gains = [(o.improvement_frac, o.iter) for o in measured if o.improvement_frac is not None]
    best, best_iter = max(gains, key=lambda gain: (gain[0], -gain[1]), default=(None, None))
    return SourceStats(
        source=source,
        iterations=len(outcomes) - blocked,
        blocked=blocked,
        measured=len(measured),
        failed=len(outcomes) - blocked - stopped - len(measured),
        keeps=sum(o.is_keep for o in measured),
        mean_improvement_frac=fmean(gain for gain, _ in gains) if gains else None,
        best_improvement_frac=best,
        best_iter=best_iter,
        stopped_early=stopped,
    )


def source_credits(results: Iterable[Result]) -> tuple[SourceCredit, ...]:
    """One entry per source with a candidate that was tried, in the order of its first candidate."""
    return tuple(
        SourceCredit.model_validate({name: getattr(stats, name) for name in SourceCredit.model_fields})
        for stats in compute_source_stats(_tried(results))
    )


def _tried(results: Iterable[Result]) -> Iterator[SourceOutcome]:
    for r in results:
        if r.stage == "evaluated" or r.stage == "stopped_early" or r.stage == "eval_failed":
            yield SourceOutcome(r.source, r.iter, r.stage, r.is_keep, r.improvement_frac)
