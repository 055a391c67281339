"""Keep or revert: the only place that turns measurements into a verdict. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from autoresearch.core.measurement import Measurement
from autoresearch.core.records import DecisionRule, TrialEnded


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on a candidate. ``improvement_frac`` is (baseline - candidate) / baseline: positive is better."""

    decision: Literal["keep", "revert"]
    val_bpb: float
    baseline_val_bpb: float
    improvement_frac: float
    reason: str


def next_seed(candidate: Sequence[TrialEnded], baseline: Sequence[TrialEnded], rule: DecisionRule) -> int | None:
    """Return the seed of the next trial that the rule needs of a candidate, or ``None`` if it can judge.

    ``candidate`` and ``baseline`` are all trials so far. The baseline's own trials are chosen in the same way, with an
    empty ``baseline``, so that a candidate and its baseline are paired by seed.
    """
    return None if any(t.seed == rule.seed for t in candidate) else rule.seed


def decide(candidate: Sequence[TrialEnded], baseline: Sequence[TrialEnded], rule: DecisionRule) -> Decision:
    """Judge a candidate by the mean of all its trials against the mean of all the baseline's.

    Kept when the relative improvement is at least ``accept_delta_frac``. Raises ``ValueError`` without trials.
    """
    mean, reference = mean_bpb(candidate), mean_bpb(baseline)
    gain = (reference - mean) / reference
    keep = gain >= rule.accept_delta_frac
    relation = "reaches" if keep else "is below"
    reason = f"improvement {100 * gain:+.2f}% {relation} the {100 * rule.accept_delta_frac:g}% that a keep needs"
    return Decision("keep" if keep else "revert", mean, reference, gain, reason)


def mean_bpb(trials: Sequence[TrialEnded]) -> float:
    """Return the mean val_bpb of the measured trials. Raises ``ValueError`` if there are none."""
    measured = [t.outcome.val_bpb for t in trials if isinstance(t.outcome, Measurement)]
    if not measured:
        raise ValueError("a decision needs at least one measured trial on either side")
    return fmean(measured)
