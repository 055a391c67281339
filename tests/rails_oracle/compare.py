"""Judge generated proposals with the rails and with the oracle."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from rails import Estimate, Limits, Menu, Tried, gate, parse_menu
from tests.rails_oracle import oracle
from tests.rails_oracle.worlds import draw_reply, draw_world

REPLIES_EACH = 40  # proposals per menu


@dataclass(frozen=True)
class Difference:
    """A proposal on which the two disagree; ``rails`` is the gate's rail, or the exception that it raised."""

    seed: int
    raw: str | bytes
    world: oracle.World
    rails: str
    oracle: str


def judge(raw: str | bytes, world: oracle.World, menu: Menu) -> str:
    """The rail that the gate names."""
    known = Tried(world.baseline)
    for cfg in world.measured:
        known.add(cfg, "measured")
    needed, available = world.memory or (0, None)
    estimate = (lambda _cfg: Estimate(needed, world.time_ratio)) if world.memory else None
    verdict = gate(
        raw,
        world.baseline,
        menu,
        steps=world.steps,
        known=known,
        estimate=estimate,
        limits=Limits(available),
        max_changes=world.max_changes,
    )
    assert verdict.ok is (verdict.rail == "passed") is (verdict.candidate is not None)
    if verdict.ok:
        assert verdict.proposal is not None
        assert verdict.candidate == {**world.baseline, **dict(verdict.proposal.changes)}
    return str(verdict.rail)


def compare(proposals: int, seed: int) -> tuple[Counter[str], list[Difference]]:
    """Judge ``proposals`` replies; how many each rail refused, and the differences."""
    counts: Counter[str] = Counter()
    differences: list[Difference] = []
    while counts.total() < proposals:
        chance = random.Random(seed)
        world = draw_world(chance)
        menu = parse_menu(world.menu)
        for _ in range(min(REPLIES_EACH, proposals - counts.total())):
            raw = draw_reply(world, chance)
            expected = oracle.rail(raw, world)
            try:
                found = judge(raw, world, menu)
            except Exception as e:  # the gate is total: an exception is a difference
                found = repr(e)
            counts[expected] += 1
            if found != expected:
                differences.append(Difference(seed, raw, world, found, expected))
        seed += 1
    return counts, differences
