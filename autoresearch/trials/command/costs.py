"""What rail R7 expects of a configuration before it runs, learned from the trials so far. Pure.

Memory and time of a candidate are the largest of those measured, for each knob that it changes, at the two neighbouring
values of this knob, of which the baseline's is one; beyond the outermost value, at the outermost. A
value without an order (a word) has only the baseline's. A trial that ran out of memory or time counts too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autoresearch.core.tried_costs import TriedCost
from autoresearch.core.values import Cfg
from rails import Config, Estimate


def learned_estimate(baseline_cfg: Cfg, costs: Sequence[TriedCost]) -> Callable[[Config], Estimate | None] | None:
    """The estimate of R7; ``None`` before the baseline is measured."""
    baseline = [cost for cost in costs if cost.knob is None]
    if not baseline:
        return None
    whole = TriedCost(None, None, max(c.seconds for c in baseline), _largest(baseline))
    by_knob: dict[str, list[TriedCost]] = {}
    for cost in costs:
        if cost.knob is not None:
            by_knob.setdefault(cost.knob, []).append(cost)

    def estimate(cfg: Config) -> Estimate | None:
        changed = [name for name, value in cfg.items() if value != baseline_cfg.get(name)]
        near = [
            cost
            for name in changed
            for cost in _neighbours(cfg[name], baseline_cfg.get(name), by_knob.get(name, []), whole)
        ] or [whole]
        seconds = max(cost.seconds for cost in near)
        return Estimate(_largest(near) or 0, seconds / whole.seconds if whole.seconds > 0 else 1.0)

    return estimate


def _neighbours(value: object, own: object, tried: Sequence[TriedCost], baseline: TriedCost) -> list[TriedCost]:
    """What was measured at the next lower and the next higher value of the knob."""
    if not _is_number(value) or not _is_number(own):
        return [baseline]
    points = [(float(own), baseline)]  # type: ignore[arg-type]
    points += [(float(cost.value), cost) for cost in tried if isinstance(cost.value, int | float)]
    at = float(value)  # type: ignore[arg-type]
    below = max((p for p in points if p[0] <= at), key=lambda p: p[0], default=None)
    above = min((p for p in points if p[0] >= at), key=lambda p: p[0], default=None)
    return [point[1] for point in (below, above) if point is not None]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _largest(costs: Sequence[TriedCost]) -> int | None:
    return max((cost.peak_bytes for cost in costs if cost.peak_bytes is not None), default=None)
