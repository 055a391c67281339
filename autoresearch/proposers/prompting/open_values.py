"""Which values of a knob can still be proposed: for the schema of an answer, and for the prompt."""

from __future__ import annotations

from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.space import Space
from rails import ChoiceKnob, FloatKnob, IntKnob, Value

MAX_SEARCHED = 1000  # integers; a wider range is taken for open at both ends


def open_choices(space: Space, knob: ChoiceKnob, trajectory: Trajectory) -> tuple[int | str, ...]:
    """The choices that are open, in the menu's order."""
    return tuple(value for value in knob.choices if space.is_open(knob.name, value, trajectory, ()))


def open_range(space: Space, knob: IntKnob | FloatKnob, trajectory: Trajectory) -> tuple[Value, Value] | None:
    """The lowest and the highest open value, or ``None`` where none is left.

    Integers are searched from both ends; closed ones may lie between. A range of real numbers is always open.
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
