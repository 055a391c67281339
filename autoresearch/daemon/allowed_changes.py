"""How many knobs a proposal may change: ``max_changes``, and for a union of confirmed keeps as many as they changed."""

from __future__ import annotations

from autoresearch.config.settings import Settings
from autoresearch.core.stacking import STACK_SOURCE, changes_confirmed_values
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.policy import Policy
from rails import gate


def allowed_changes(settings: Settings, policy: Policy, raw: str, trajectory: Trajectory) -> int:
    """The limit for this reply.

    ``max_changes`` keeps the effects of changes apart. What a union combines has been measured apart already, so it
    may be larger, where the user has asked for unions.
    """
    every_knob = max(settings.max_changes, len(policy.menu.knobs))
    if settings.max_changes == every_knob or (settings.compose == "off" and settings.proposer != STACK_SOURCE):
        return settings.max_changes
    proposal = gate(raw, policy.baseline, policy.menu, steps=policy.steps, max_changes=every_knob).proposal
    is_union = proposal is not None and bool(proposal.also) and changes_confirmed_values(proposal.changes, trajectory)
    return every_knob if is_union else settings.max_changes
