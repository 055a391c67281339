"""What equal seeds save, per knob: the correlation of candidates with the baseline at the same seed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from autoresearch.core.records import Evidence, TrialEnded
from autoresearch.core.text import plural
from autoresearch.core.trajectory import measurements
from autoresearch.core.values import FrozenModel
from autoresearch.report.format import NAME_CELLS, safe
from autoresearch.report.history import Row
from autoresearch.verdicts.correlation import MIN_SEEDS, Correlation, pooled_correlation

MAX_LINES = 5


class KnobCorrelation(FrozenModel):
    """Of the candidates that change one knob; only those with at least three seeds count."""

    knob: str
    correlation: float
    low: float  # its 95% interval, for normal noise
    high: float
    pairs: int  # seeds with both sides, of all these candidates
    candidates: int


def knob_correlations(rows: Sequence[Row]) -> list[KnobCorrelation]:
    """The correlation for each knob where there is data, those with the most pairs first."""
    by_knob: dict[str, list[Sequence[tuple[float, float]]]] = {}
    for row in rows:
        if row.knob is not None and not row.several and row.paired_bpbs:
            by_knob.setdefault(row.knob, []).append(row.paired_bpbs)
    pooled = {knob: pooled_correlation(candidates) for knob, candidates in by_knob.items()}
    known = [_numbers(knob, found) for knob, found in pooled.items() if found.is_known]
    return sorted(known, key=lambda numbers: -numbers.pairs)


def _numbers(knob: str, found: Correlation) -> KnobCorrelation:
    return KnobCorrelation(
        knob=knob,
        correlation=found.value,
        low=found.low,
        high=found.high,
        pairs=found.pairs,
        candidates=found.candidates,
    )


def paired_bpbs(evidence: Evidence | None, baseline: Sequence[TrialEnded]) -> tuple[tuple[float, float], ...]:
    """The loss (val_bpb) of baseline and candidate at each seed of a verdict on at least ``MIN_SEEDS`` seeds.

    Empty where a trial is not in ``baseline``. A record has the paired gains, relative to the baseline's mean over
    these seeds.
    """
    if evidence is None or len(evidence.seeds) < MIN_SEEDS:
        return ()
    by_trial = {trial.trial: m.loss for trial in baseline for m in measurements([trial])}
    if not by_trial.keys() >= set(evidence.baseline_trials):
        return ()
    bpbs = [by_trial[n] for n in evidence.baseline_trials]
    mean = abs(fmean(bpbs))
    return tuple((b, b - gain * mean) for b, gain in zip(bpbs, evidence.gains_frac, strict=True))


def correlation_lines(numbers: Sequence[KnobCorrelation]) -> Iterator[str]:
    """A sentence for each knob, at most ``MAX_LINES``."""
    for one in numbers[:MAX_LINES]:
        interval = f"95% interval {one.low:.2g} to {one.high:.2g}, {plural(one.pairs, 'pair')}"
        changed = f"candidates that change {safe(one.knob, NAME_CELLS)}"
        yield f"{changed} correlate with the baseline at {one.correlation:.2g} ({interval})"
    if more := numbers[MAX_LINES:]:
        yield f"{plural(len(more), 'more knob')} with fewer pairs: `autoresearch report --json`"
