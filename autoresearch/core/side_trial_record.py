"""Trials that belong to no iteration: what a run measures at its end, beside its verdicts."""

from __future__ import annotations

from typing import Literal

from autoresearch.core.measurement import Outcome, Suspended
from autoresearch.core.record_bases import Event, Metered
from autoresearch.core.values import Cfg

Purpose = Literal["climb", "race"]


class SideTrialStarted(Event):
    """Durable before the trial begins. It is in no verdict, and seals nothing."""

    stage: Literal["side_trial_started"] = "side_trial_started"
    side_trial: int  # its number, from 1; trials of iterations are counted by themselves
    purpose: Purpose
    iter: int | None  # of the keep that is trained; 0: the run's baseline; null: the first baseline of the climb
    seed: int
    cfg: Cfg
    boot_id: str
    continues: bool = False  # it resumes from the checkpoint at which it was suspended


class SideTrialSuspended(Metered):
    """It was suspended before its end, for a pause or a stop. ``power`` is of the phases of this part alone."""

    stage: Literal["side_trial_suspended"] = "side_trial_suspended"
    side_trial: int
    purpose: Purpose
    iter: int | None
    seed: int
    suspended: Suspended


class SideTrial(Metered):
    """Its measurement or failure."""

    stage: Literal["side_trial"] = "side_trial"
    side_trial: int
    purpose: Purpose
    iter: int | None
    seed: int
    outcome: Outcome
