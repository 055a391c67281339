"""Which values of a knob can still be proposed: for the schema of an answer, and for the prompt."""

from __future__ import annotations

from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.space import Space
from rails import ChoiceKnob, FloatKnob, IntKnob, Value

MAX_LISTED = 256  # whole numbers of one knob
BISECTIONS = 60
MAX_SEARCHED = 1000  # integers; a wider range is taken for open at both ends


def open_choices(space: Space, knob: ChoiceKnob, trajectory: Trajectory) -> tuple[int | str, ...]:
    """The choices that are open, in the menu's order."""
    return tuple(value for value in knob.choices if space.is_open(knob.name, value, trajectory, ()))


def open_integers(space: Space, knob: IntKnob, trajectory: Trajectory) -> tuple[int, ...] | None:
    """The open whole numbers of a knob, or ``None`` where its range is too wide to list them."""
    if knob.high - knob.low >= MAX_LISTED:
        return None
    numbers = range(knob.low, knob.high + 1)
    return tuple(value for value in numbers if space.is_open(knob.name, value, trajectory, ()))


def allowed_choices(space: Space, knob: ChoiceKnob) -> tuple[int | str, ...]:
    """The choices that break no constraint around the baseline, known ones included."""
    return tuple(value for value in knob.choices if _is_allowed(space, knob.name, value))


def allowed_range(space: Space, knob: IntKnob | FloatKnob) -> tuple[Value, Value]:
    """The range that the constraints leave around the baseline, which satisfies them; known values included.

    Between the baseline and an end that breaks a constraint the border is found by bisection.
    """
    return _border(space, knob, knob.low), _border(space, knob, knob.high)


def _border(space: Space, knob: IntKnob | FloatKnob, end: int | float) -> Value:
    if _is_allowed(space, knob.name, end):
        return end
    as_value = int if isinstance(knob, IntKnob) else float
    good, bad = float(space.baseline[knob.name]), float(end)
    for _ in range(BISECTIONS):
        middle = float(round((good + bad) / 2)) if isinstance(knob, IntKnob) else (good + bad) / 2
        if middle in (good, bad):
            break
        good, bad = (middle, bad) if _is_allowed(space, knob.name, as_value(middle)) else (good, middle)
    return as_value(good)


def _is_allowed(space: Space, knob: str, value: Value) -> bool:
    return not space.menu.broken_rule({**space.baseline, knob: value}, space.steps)


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
