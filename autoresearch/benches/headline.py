"""The headline of a run: its mean score over cases, its error, and what missing samples can change. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoresearch.benches.ports import BenchRun
from autoresearch.benches.statistics.missing import Scores, bounds, case_means, count_missing, filled, mean_of_cases
from autoresearch.benches.statistics.spread import standard_error
from autoresearch.benches.statistics.wilson import wilson_interval

POINTS = 100  # percentage points of one


@dataclass(frozen=True, slots=True)
class Headline:
    """The mean over cases of the mean over samples.

    ``value``, ``se`` and ``interval`` are ``None`` while samples are missing or ungraded: then the complete run's value
    lies between ``low`` and ``high``. ``interval`` is Wilson's, 95%, only for one binary sample per case.
    """

    name: str
    cases: int
    samples: int
    missing: int
    value: float | None
    low: float
    high: float
    se: float | None
    interval: tuple[float, float] | None


def build_headline(name: str, scores: Scores, *, is_rate: bool = True) -> Headline:
    """The headline of these scores; ``is_rate``: each is 0 or 1 by definition. Raises ``ValueError`` without a case."""
    low, high = bounds(mean_of_cases, scores)
    missing = count_missing(scores)
    samples = max(map(len, scores.values()))
    complete = filled(scores, 0.0)
    return Headline(
        name=name,
        cases=len(scores),
        samples=samples,
        missing=missing,
        value=None if missing else low,
        low=low,
        high=high,
        se=None if missing else standard_error(list(case_means(complete).values())),
        interval=_wilson(complete) if is_rate and not missing else None,
    )


def _wilson(scores: Mapping[str, Sequence[float]]) -> tuple[float, float] | None:
    if not is_binary_pair(scores):
        return None
    return wilson_interval(round(sum(samples[0] for samples in scores.values())), len(scores))


def is_binary_pair(*sides: Mapping[str, Sequence[float]]) -> bool:
    """Whether every case has one sample, and its score is 0 or 1, on every side."""
    return all(len(samples) == 1 and samples[0] in (0.0, 1.0) for scores in sides for samples in scores.values())


def check_scores(run: BenchRun, scores: Scores) -> dict[str, tuple[float | None, ...]]:
    """``scores`` in the order of the run's cases, ``None`` for every sample without a trial.

    They must be of every case and every planned sample. Raises ``ValueError``: a bug of the suite.
    """
    ids = [case.id for case in run.cases.cases]
    if set(scores) != set(ids):
        raise ValueError(f"the suite {run.meta.suite} scored other cases than those of the run")
    if wrong := [case for case in ids if len(scores[case]) != run.meta.samples]:
        raise ValueError(f"the suite {run.meta.suite} scored {len(scores[wrong[0]])} samples of case {wrong[0]!r}")
    return {
        case: tuple(score if (case, n) in run.trials else None for n, score in enumerate(scores[case])) for case in ids
    }


def describe_headline(h: Headline) -> str:
    """One line: ``Accuracy@1 12.5% (95% interval 6.0 to 24.2%, 40 cases)``."""
    of = f"{h.cases:,} case{'' if h.cases == 1 else 's'}" + (f" x {h.samples} samples" if h.samples > 1 else "")
    if h.value is None:
        return f"{h.name} between {percent(h.low)} and {percent(h.high)} ({of}, {h.missing:,} without a score)"
    if h.interval:
        low, high = h.interval
        return f"{h.name} {percent(h.value)} (95% interval {POINTS * low:.1f} to {percent(high)}, {of})"
    error = f"standard error {POINTS * h.se:.1f} points, " if h.se is not None else ""
    return f"{h.name} {percent(h.value)} ({error}{of})"


def name_headline(h: Headline) -> str:
    """Name and value: ``Accuracy@1 12.5%``, or its bounds."""
    value = f"between {percent(h.low)} and {percent(h.high)}" if h.value is None else percent(h.value)
    return f"{h.name} {value}"


def percent(fraction: float) -> str:
    """``12.5%``."""
    return f"{POINTS * fraction:.1f}%"
