"""Which values of a knob can still be proposed: for the schema of an answer, and for the prompt."""

from __future__ import annotations

from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.space import Space
from rails import ChoiceKnob, FloatKnob, IntKnob, Value

MAX_SEARCHED = 1000  # whole numbers; the open ends of a wider range are not looked for


def open_choices(space: Space, knob: ChoiceKnob, trajectory: Trajectory) -> tuple[int | str, ...]:
    """The choices that no rail would refuse now, in the menu's order."""
    return tuple(value for value in knob.choices if space.is_open(knob.name, value, trajectory, ()))


def open_range(space: Space, knob: IntKnob | FloatKnob, trajectory: Trajectory) -> tuple[Value, Value] | None:
    """The lowest and the highest value worth proposing, or ``None`` where nothing is left.

    Whole numbers are searched from both ends; there may be closed ones between. A range of real numbers never ends.
    """
    if isinstance(knob, IntKnob) and knob.high - knob.low < MAX_SEARCHED:
        low = _first_open(space, knob, range(knob.low, knob.high + 1), trajectory)
        high = _first_open(space, knob, range(knob.high, knob.low - 1, -1), trajectory)
        return None if low is None or high is None else (low, high)
    if knob.low == knob.high and not space.is_open(knob.name, knob.low, trajectory, ()):
        return None
    return knob.low, knob.high


def _first_open(space: Space, knob: IntKnob, values: range, trajectory: Trajectory) -> int | None:
    return next((value for value in values if space.is_open(knob.name, value, trajectory, ())), None)
