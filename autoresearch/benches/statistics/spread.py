"""How far a mean of scores scatters: between runs as NeMo-Skills reports it, and between cases. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from statistics import stdev


@dataclass(frozen=True, slots=True)
class RunSpread:
    """Figures over the runs; run i holds sample i of every case. Fractions, not percent; all with n - 1."""

    runs: int
    sd: float  # of the means of the runs (upstream: std_dev_across_runs)
    se: float  # sd / sqrt(runs) (upstream: std_err_across_runs)
    sample_sd: float  # mean over cases of the SD over the samples of the case (upstream: avg_sample_std_dev)


def spread_across_runs(scores: Sequence[Sequence[float]]) -> RunSpread | None:
    """NeMo-Skills' statistics of the runs (``BaseMetrics._add_std_metrics``); one sequence of samples per case.

    They describe the noise of sampling for these cases, not what other cases would give. ``None`` with fewer than two
    runs or without a case. Raises ``ValueError`` where the cases differ in their number of samples.
    """
    runs = len(scores[0]) if scores else 0
    if any(len(samples) != runs for samples in scores):
        raise ValueError("the cases differ in their number of samples")
    if runs < 2:
        return None
    means = [fsum(samples[run] for samples in scores) / len(scores) for run in range(runs)]
    sd = stdev(means)
    return RunSpread(runs, sd, sd / sqrt(runs), fsum(stdev(samples) for samples in scores) / len(scores))


def standard_error(case_means: Sequence[float]) -> float | None:
    """The standard error of the headline: SD of the case means (with n - 1) / sqrt(cases).

    The cases are the unit: samples of one case are not independent (Miller 2024, "Adding Error Bars to Evals").
    ``None`` with fewer than two cases.
    """
    return stdev(case_means) / sqrt(len(case_means)) if len(case_means) >= 2 else None
