"""The record that closes the iteration of a candidate whose trial was stopped early."""

from __future__ import annotations

from typing import Literal

from autoresearch.core.record_bases import CandidateTried
from autoresearch.core.stopped_trial import EarlyStop


class StoppedEarly(CandidateTried):
    """A candidate could no longer become a keep, and was stopped before it was measured: it has no val_bpb."""

    stage: Literal["stopped_early"] = "stopped_early"
    eval_metrics: EarlyStop
    decision: Literal["revert"] = "revert"
    label: Literal["stopped early"] = "stopped early"
    baseline_trial: int  # with the same seed, whose curve the limits follow
    val_bpb: None = None
    improvement_frac: None = None
