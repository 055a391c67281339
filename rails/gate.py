"""The gate: the seven rails in order. The verdict names the first one that refuses; no input raises."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rails import checks
from rails.checks import Refused
from rails.knobs import Value
from rails.menu import Menu, Steps, default_menu
from rails.novelty import Tried
from rails.verdict import Config, Estimate, Limits, Proposal, Rail, Verdict

DEFAULT_STEPS = 60


def gate(
    raw: object,
    baseline_cfg: Config,
    menu: Menu | None = None,
    *,
    steps: Steps = DEFAULT_STEPS,
    known: Tried | None = None,
    estimate: Callable[[Config], Estimate | None] | None = None,
    limits: Limits = Limits(),
    max_changes: int = 1,
) -> Verdict:
    """Judge one raw reply against the fixed baseline.

    ``steps`` is the run's step budget (see ``menu.Steps``), ``known`` the configurations that the run has tried,
    ``estimate`` the cost of a configuration on this machine; R6 and R7 pass where these are absent. A reply may change
    up to ``max_changes`` knobs, which are judged as one candidate.
    Deterministic, and total in ``raw`` and ``baseline_cfg``: any value of them leads to a ``Verdict``.
    """
    menu = menu or default_menu()
    try:
        reply = checks.schema(raw, max_changes)
    except Refused as e:
        return Verdict(False, Rail.R1_SCHEMA, str(e))
    knobs = [name for name, _ in reply.changes]
    if why := checks.menu_entry(knobs, menu, baseline_cfg):
        return Verdict(False, Rail.R2_MENU, why)
    values: dict[str, Value] = {}
    for name, given in reply.changes:
        value, why = menu.knobs[name].accept(given)
        if value is None:
            return Verdict(False, Rail.R3_RANGE, why)
        values[name] = value
    (first, value), *others = values.items()
    proposal = Proposal(first, value, reply.reason, tuple(others))
    candidate = {**baseline_cfg, **values}
    if why := menu.broken_rule(candidate, steps):
        return Verdict(False, Rail.R4_CROSS, why, proposal)
    diff, lint = checks.diff_lines(knobs, baseline_cfg, candidate)
    if lint:
        return Verdict(False, Rail.R5_DIFF_LINT, lint, proposal)
    return _check_novelty_and_budget(proposal, diff, candidate, known or Tried(baseline_cfg), estimate, limits)


def _check_novelty_and_budget(
    proposal: Proposal,
    diff: str,
    candidate: Mapping[str, int | float | str],
    known: Tried,
    estimate: Callable[[Config], Estimate | None] | None,
    limits: Limits,
) -> Verdict:
    """R6 and R7 for a valid change: it must be new and within the limits."""
    if known_as := checks.novelty(candidate, known):
        return Verdict(False, Rail.R6_NOVELTY, known_as, proposal, diff)
    cost = estimate(candidate) if estimate else None
    if cost and (over_budget := checks.budget(cost, limits)):
        return Verdict(False, Rail.R7_BUDGET, over_budget, proposal, diff, estimate=cost)
    return Verdict(True, Rail.PASSED, "", proposal, diff, candidate, cost)
