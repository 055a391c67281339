"""The initial design of a run: one step from the baseline for each knob, in place of random draws."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache, partial

from autoresearch.core.records import Attempt
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.space import Space
from rails import Value, same_value

Change = tuple[str, Value, str]  # knob, value, reason


def next_initial_change(space: Space, seed: int, trajectory: Trajectory, refused: Sequence[Attempt]) -> Change | None:
    """A step for a knob that has no result yet, then the opposite of the steps that did harm; ``None`` when done."""
    return step_untried_knob(space, seed, trajectory, refused) or reverse_harmful_step(space, trajectory, refused)


def step_untried_knob(space: Space, seed: int, trajectory: Trajectory, refused: Sequence[Attempt]) -> Change | None:
    """A step up or down for a knob without a result; knobs and directions in an order drawn from the seed."""
    tried_knobs = {r.knob for r in trajectory.results}
    order = random.Random(f"{seed}:order")
    for knob in order.sample(list(space.menu.knobs.values()), len(space.menu.knobs)):
        is_upward = order.random() < 0.5
        if knob.name in tried_knobs:
            continue
        neighbours = space.neighbours(knob)
        for value in neighbours if is_upward else reversed(neighbours):
            if space.is_open(knob.name, value, trajectory, refused):
                return knob.name, value, "a step from the baseline: nothing is known of this knob yet"
    return None


def reverse_harmful_step(space: Space, trajectory: Trajectory, refused: Sequence[Attempt]) -> Change | None:
    """The opposite of the most harmful step that has not been reversed: the other direction may be better.

    A step is harmful if it is worse by at least the relative change that the run's decision rule would keep as a gain.
    """
    min_harm_frac = trajectory.meta.decision_rule.accept_delta_frac if trajectory.meta else 0.0
    neighbours = {name: space.neighbours(knob) for name, knob in space.menu.knobs.items()}
    is_open = cache(partial(_is_open, space, trajectory, refused))
    harmful = ((r.improvement_frac, r.knob, r.new_value) for r in trajectory.results if r.improvement_frac is not None)
    for effect, knob, tried in sorted((h for h in harmful if h[0] <= -min_harm_frac), key=lambda h: h[0]):
        if knob is None or tried is None or not any(same_value(tried, n) for n in neighbours.get(knob, ())):
            continue
        for value in neighbours[knob]:
            if is_open(knob, value):
                return knob, value, f"{knob} = {tried} cost {-100 * effect:.2f}%: the other way, then"
    return None


def _is_open(space: Space, trajectory: Trajectory, refused: Sequence[Attempt], knob: str, value: Value) -> bool:
    return space.is_open(knob, value, trajectory, refused)
