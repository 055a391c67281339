"""A measured gain with its seeds, and the difference of two of them with its uncertainty. Pure."""

from __future__ import annotations

import math
from statistics import fmean, stdev

from autoresearch.core.values import FrozenModel
from autoresearch.report.history import History, Row
from autoresearch.report.table import format_verdict
from autoresearch.verdicts.student_t import upper_quantile

LEVEL = 0.95  # of an interval of a difference


class MeasuredGain(FrozenModel):
    """What one run measured of a change. ``low_frac`` and ``high_frac`` are the interval of its verdict."""

    label: str  # "confirmed", "screened out", ...; by rule threshold "keep" or "revert"
    gain_frac: float
    seeds: int
    low_frac: float | None  # None for one seed, by rule threshold, and without a known noise
    high_frac: float | None
    se_frac: float | None  # standard error of the gain; None where the run does not know its noise
    df: float | None  # degrees of freedom of the standard error


class GainDifference(FrozenModel):
    """B - A with its 95% interval; the bounds are ``None`` where a standard error is unknown."""

    difference_frac: float
    low_frac: float | None
    high_frac: float | None

    @property
    def beyond_noise(self) -> bool | None:
        """Whether the interval excludes 0; ``None`` without an interval."""
        if self.low_frac is None or self.high_frac is None:
            return None
        return self.low_frac > 0 or self.high_frac < 0


def measured_gain(row: Row, history: History) -> MeasuredGain | None:
    """The gain of ``row``; ``None`` if it was not measured."""
    if row.improvement_frac is None:
        return None
    seeds = len(row.evidence.seeds) if row.evidence else row.trials
    several = row.evidence if seeds > 1 else None
    error = _standard_error(row, history)
    return MeasuredGain(
        label=format_verdict(row),
        gain_frac=row.improvement_frac,
        seeds=seeds,
        low_frac=several.low_frac if several else None,
        high_frac=several.high_frac if several else None,
        se_frac=error[0] if error else None,
        df=error[1] if error else None,
    )


def _standard_error(row: Row, history: History) -> tuple[float, float] | None:
    """Of the gain, with its degrees of freedom: from the verdict's noise, else from the spread of the baseline."""
    if row.evidence:
        if row.evidence.df <= 0:
            return None
        return row.evidence.sd_frac / math.sqrt(len(row.evidence.seeds)), row.evidence.df
    baseline = history.baseline_bpbs
    if len(baseline) < 2 or not row.trials:
        return None
    sd = stdev(baseline) / abs(fmean(baseline))
    return sd * math.sqrt(1 / row.trials + 1 / len(baseline)), float(len(baseline) - 1)


def gain_difference(a: MeasuredGain, b: MeasuredGain) -> GainDifference:
    """B's gain less A's, of independent measurements; equal seeds make the interval too wide, never too narrow."""
    difference = b.gain_frac - a.gain_frac
    if a.se_frac is None or b.se_frac is None or a.df is None or b.df is None:
        return GainDifference(difference_frac=difference, low_frac=None, high_frac=None)
    return interval_of(difference, (a.se_frac, a.df), (b.se_frac, b.df))


def interval_of(difference: float, a: tuple[float, float], b: tuple[float, float]) -> GainDifference:
    """The difference with its interval, from both standard errors and degrees of freedom (Welch 1947)."""
    variances = [(se * se, df) for se, df in (a, b)]
    whole = math.fsum(v for v, _ in variances)
    if not whole:
        return GainDifference(difference_frac=difference, low_frac=difference, high_frac=difference)
    df = whole * whole / math.fsum(v * v / df for v, df in variances)
    half = upper_quantile((1 - LEVEL) / 2, df) * math.sqrt(whole)
    return GainDifference(difference_frac=difference, low_frac=difference - half, high_frac=difference + half)


def baseline_difference(a: tuple[float, ...], b: tuple[float, ...]) -> GainDifference | None:
    """How much lower the mean of B's baseline is than A's, relative to A's; ``None`` where one is missing."""
    if not a or not b:
        return None
    reference = abs(fmean(a))
    if not reference:
        return None
    difference = (fmean(a) - fmean(b)) / reference
    if len(a) < 2 or len(b) < 2:
        return GainDifference(difference_frac=difference, low_frac=None, high_frac=None)
    one, other = ((stdev(v) / math.sqrt(len(v)) / reference, len(v) - 1.0) for v in (a, b))
    return interval_of(difference, one, other)
