"""The verdicts of rule ``sequential`` in numbers: labels, seeds, intervals, alpha spent, the baseline's noise. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any, get_args

from autoresearch.core.decision import noise_of_earlier, sequential_rule
from autoresearch.core.records import DecisionRule, Evaluated, Evidence
from autoresearch.core.values import FrozenModel, KnobValue
from autoresearch.report.correlations import KnobCorrelation, knob_correlations
from autoresearch.report.history import History, Row
from autoresearch.verdicts.noise import Noise, is_refuted, noise_of_run
from autoresearch.verdicts.selection import corrected_gain
from autoresearch.verdicts.sequential import Judgement, Label

LABELS: tuple[Label, ...] = get_args(Label)


class KeepNumbers(FrozenModel):
    """A confirmed keep. Gains are paired by seed, relative to the baseline; 0.01 is 1%."""

    iter: int
    knob: str | None
    new_value: KnobValue | None
    label: str
    seeds: int  # that candidate and baseline were compared with
    gain_frac: float | None  # mean over the seeds
    low_frac: float | None  # interval of the mean, at the level of its test
    high_frac: float | None
    corrected_gain_frac: float | None  # for having been selected: verdicts.selection
    alpha: float  # that its test may spend


class VerdictNumbers(FrozenModel):
    """What rule ``sequential`` decided, and at which error rate."""

    labels: dict[str, int]  # candidates by label, every label
    tests: int  # candidates tried in this run directory up to the last verdict
    alpha: float | None  # largest probability of any false keep in the run directory
    alpha_spent: float  # by these tests
    baseline_seeds: int
    baseline_sd_frac: float | None  # of one trial over the baseline's seeds; None with one seed
    baseline_sd_interval: tuple[float, float] | None  # at 95%, for Gaussian noise
    earlier_runs: int  # on the same yardstick, whose noise the run began with
    earlier_df: float  # their degrees of freedom
    earlier_used: bool  # whether the run's own noise has not refuted theirs
    correlations: list[KnobCorrelation]  # of candidates with the baseline at the same seed, by knob
    keeps: list[KeepNumbers]


def verdict_numbers(history: History) -> VerdictNumbers | None:
    """The numbers of a run by rule ``sequential``, else ``None``."""
    if not history.is_sequential:
        return None
    judged = [(row, row.evidence) for row in history.rows if row.evidence]
    counts = Counter(evidence.label for _, evidence in judged)
    return VerdictNumbers(
        labels={label: counts[label] for label in LABELS},
        tests=max((evidence.test for _, evidence in judged), default=0),
        alpha=history.rule.get("alpha"),
        alpha_spent=max((evidence.alpha_spent for _, evidence in judged), default=0.0),
        baseline_seeds=len(history.baseline_bpbs),
        baseline_sd_frac=relative_sd(history.baseline_bpbs),
        baseline_sd_interval=relative_sd_interval(history.baseline_bpbs),
        **_earlier(history),
        correlations=knob_correlations(history.rows),
        keeps=[_keep(row, evidence) for row, evidence in judged if row.decision == "keep"],
    )


def _earlier(history: History) -> dict[str, Any]:
    earlier = noise_of_earlier(history.earlier_runs)
    gains = [row.evidence.gains_frac for row in history.rows if row.evidence]
    used = not is_refuted(earlier, noise_of_run(history.baseline_bpbs, gains))
    runs = len(history.earlier_runs)
    return {"earlier_runs": runs, "earlier_df": earlier.df, "earlier_used": bool(runs) and used}


def _keep(row: Row, evidence: Evidence) -> KeepNumbers:
    return KeepNumbers(
        iter=row.iter,
        knob=row.knob,
        new_value=row.new_value,
        label=evidence.label,
        seeds=len(evidence.seeds),
        gain_frac=row.improvement_frac,
        low_frac=evidence.low_frac,
        high_frac=evidence.high_frac,
        corrected_gain_frac=row.corrected_frac,
        alpha=evidence.alpha,
    )


def relative_sd(values: Sequence[float]) -> float | None:
    """The standard deviation of ``values`` relative to their mean; ``None`` for fewer than two."""
    return stdev(values) / abs(fmean(values)) if len(values) > 1 else None


def relative_sd_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95% interval of ``relative_sd`` under Gaussian noise; ``None`` for fewer than two values."""
    sd = relative_sd(values)
    return None if sd is None else Noise(sd, len(values) - 1, "trials").interval()


def corrected_frac(record: Evaluated, rule: DecisionRule | None) -> float | None:
    """The gain of a keep, corrected for having been selected; ``None`` for a revert and under rule threshold."""
    evidence = record.evidence
    if evidence is None or record.decision != "keep" or rule is None:
        return None
    judgement = Judgement(
        decision=record.decision,
        label=evidence.label,
        n=len(evidence.seeds),
        mean_frac=record.improvement_frac,
        low_frac=-math.inf if evidence.low_frac is None else evidence.low_frac,
        high_frac=math.inf if evidence.high_frac is None else evidence.high_frac,
        statistic=evidence.statistic,
        critical=math.inf if evidence.critical is None else evidence.critical,
        alpha=evidence.alpha,
        sd_frac=evidence.sd_frac,
        df=evidence.df,
    )
    return corrected_gain(judgement, sequential_rule(rule))
