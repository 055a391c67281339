"""The initial design of a run: one step from the baseline for each knob, in place of random draws."""

from __future__ import annotations

import random
from collections.abc import Sequence

from autoresearch.core.records import Attempt, EvalFailed, Evaluated
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.space import Space
from rails import Value, same_value

Change = tuple[str, Value, str]  # knob, value, reason


def next_initial_change(space: Space, seed: int, trajectory: Trajectory, refused: Sequence[Attempt]) -> Change | None:
    """A step for a knob that has no result yet, then the opposite of the steps that did harm; ``None`` when done."""
    return step_untried_knob(space, seed, trajectory, refused) or reverse_harmful_step(space, trajectory, refused)


def step_untried_knob(space: Space, seed: int, trajectory: Trajectory, refused: Sequence[Attempt]) -> Change | None:
    """A step up or down for a knob without a result; knobs and directions in an order drawn from the seed."""
    tried_knobs = {r.proposal.knob for r in trajectory.iterations if isinstance(r, Evaluated | EvalFailed)}
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
    harmful = [r for r in trajectory.iterations if isinstance(r, Evaluated) and r.improvement_frac <= -min_harm_frac]
    for record in sorted(harmful, key=lambda r: r.improvement_frac):
        knob, tried = record.proposal.knob, record.proposal.new_value
        neighbours = space.neighbours(space.menu.knobs[knob]) if knob in space.menu.knobs else []
        if not any(same_value(tried, n) for n in neighbours):
            continue
        for value in neighbours:
            if space.is_open(knob, value, trajectory, refused):
                return knob, value, f"{knob} = {tried} cost {-100 * record.improvement_frac:.2f}%: the other way, then"
    return None
