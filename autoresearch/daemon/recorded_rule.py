"""A run keeps the decision rule that it began with: what the user did not set is read from its own records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from autoresearch.config.resolve import profile_values
from autoresearch.config.settings import Settings
from autoresearch.core.records import DecisionRule
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.policy import Policy
from autoresearch.errors import YardstickMismatch

# The fields of a recorded rule that are settings, with the setting's name. The others are constants of the program.
SETTINGS = {name: name for name in ("accept_delta_frac", "alpha", "max_seeds", "baseline_seeds", "confirm")} | {
    "kind": "rule"
}
OF_THRESHOLD = {"kind", "accept_delta_frac"}  # what of them rule threshold has

WHY_NOT_MIXED = {
    "threshold": "its keeps of one seed are not covered by the error rate of rule sequential",
    "sequential": "a keep of one seed would break the error rate that its verdicts state",
}


def keep_recorded_rule(policy: Policy, settings: Settings, run: Trajectory, notify: Callable[[str], None]) -> Policy:
    """``policy`` with the rule of the run's first record, except for what the user set; unchanged for a new run.

    ``check_policy`` refuses what the user set otherwise. Raises ``YardstickMismatch`` where another kind of rule is
    requested: the verdicts of one run directory share one error rate.
    """
    if run.meta is None:
        return policy
    recorded, given = run.meta.decision_rule, given_fields(settings)
    if "kind" in given and policy.rule.kind != recorded.kind:
        what = f"this run judges by rule {recorded.kind}, and decision.rule = {policy.rule.kind} was requested"
        hint = f"leave decision.rule out to continue by rule {recorded.kind}; or another --dir, or --fresh"
        raise YardstickMismatch(f"{what}: {WHY_NOT_MIXED[recorded.kind]}", hint=hint)
    if recorded.kind == "threshold":
        given &= OF_THRESHOLD
    fixed = {name: getattr(policy.rule, name) for name in given | {"seed"}}
    rule = recorded.model_copy(update=fixed)
    if text := describe_kept_rule(rule, policy.rule):
        notify(text)
    return replace(policy, rule=rule)


def given_fields(settings: Settings) -> set[str]:
    """The fields of the rule that the user set, to something else than the profile."""
    decision, of_profile = settings.decision, profile_values(settings.profile).get("decision", {})
    return {
        field
        for field, name in SETTINGS.items()
        if name in decision.model_fields_set and getattr(decision, name) != of_profile.get(name)
    }


def describe_kept_rule(rule: DecisionRule, now: DecisionRule) -> str:
    """What of the rule is the run's own and would be another in a new run, as a sentence; empty where nothing is."""
    if rule.kind != now.kind:
        return f"this run continues by rule {rule.kind}, as it began; a new run would use rule {now.kind}"
    differing = [name for name in DecisionRule.model_fields if getattr(rule, name) != getattr(now, name)]
    if not differing:
        return ""
    values = ", ".join(f"{name} = {getattr(rule, name)} (a new run: {getattr(now, name)})" for name in differing)
    return f"this run continues by the rule that it began with: {values}"
