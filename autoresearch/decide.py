"""Keep or revert: the only place that turns measurements into a verdict. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from autoresearch.records import DecisionRule, Measurement


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on a candidate. ``improvement_frac`` is (baseline - candidate) / baseline: positive is better."""

    decision: Literal["keep", "revert"]
    val_bpb: float
    baseline_val_bpb: float
    improvement_frac: float
    reason: str


def wanted_seed(measured_seeds: Sequence[int], rule: DecisionRule) -> int | None:
    """The seed of the next trial that the rule needs before it can judge, or ``None`` when it has enough.

    The same rule asks for the baseline's trials, so that a candidate and its baseline are paired by seed.
    """
    return None if rule.seed in measured_seeds else rule.seed


def decide(candidate: Sequence[Measurement], baseline: Sequence[Measurement], rule: DecisionRule) -> Decision:
    """Judge a candidate by the mean of all its trials against the mean of all the baseline's.

    Kept when the relative improvement is at least ``accept_delta_frac``. Raises ``ValueError`` without trials.
    """
    if not candidate or not baseline:
        raise ValueError("a decision needs at least one trial of the candidate and one of the baseline")
    mean, reference = fmean(m.val_bpb for m in candidate), fmean(m.val_bpb for m in baseline)
    gain = (reference - mean) / reference
    keep = gain >= rule.accept_delta_frac
    relation = "reaches" if keep else "is below"
    reason = f"improvement {100 * gain:+.2f}% {relation} the {100 * rule.accept_delta_frac:g}% that a keep needs"
    return Decision("keep" if keep else "revert", mean, reference, gain, reason)
