"""Which configurations a table measures: every knob of a menu at several values, one change of the baseline each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from autoresearch.core.values import KnobValue
from autoresearch.proposers.space import round_value
from rails import ChoiceKnob, FloatKnob, IntKnob, Knob, Menu, same_value

SCAN = 100  # positions of a range at which it is asked whether they are allowed

Allowed = Callable[[str, KnobValue], bool]


def plan_changes(
    menu: Menu, baseline: dict[str, KnobValue], values: int, allowed: Allowed
) -> Iterator[tuple[str, KnobValue]]:
    """Every choice, every whole number of a range of at most ``values``, else ``values`` spread evenly on the knob's
    scale over the part of its range that is ``allowed``; never the baseline's own value.

    Choices are yielded whether allowed or not, so that the caller can record why one is refused.
    """
    for name, knob in menu.knobs.items():
        seen: list[KnobValue] = [baseline[name]]
        for value in knob_values(knob, values, lambda v, name=name: allowed(name, v)):  # type: ignore[misc]
            if not any(same_value(value, earlier) for earlier in seen):
                seen.append(value)
                yield name, value


def knob_values(knob: Knob, values: int, allowed: Callable[[KnobValue], bool]) -> list[KnobValue]:
    """The values of one knob, the lowest first."""
    match knob:
        case ChoiceKnob(choices=choices):
            return list(choices)
        case IntKnob(low=low, high=high) if high - low < values:
            return list(range(low, high + 1))
        case IntKnob() | FloatKnob():
            ends = [p / SCAN for p in range(SCAN + 1) if allowed(value_at(knob, p / SCAN))]
            if not ends:
                return [value_at(knob, 0.0), value_at(knob, 1.0)]
            low_at, high_at = ends[0], ends[-1]
            step = (high_at - low_at) / max(1, values - 1)
            return [value_at(knob, low_at + i * step) for i in range(values)]


def value_at(knob: IntKnob | FloatKnob, position: float) -> KnobValue:
    """The value at a position from 0 to 1 of the knob's own scale."""
    position = min(1.0, max(0.0, position))
    match knob:
        case IntKnob(low=low, high=high):
            return round(low + position * (high - low))
        case FloatKnob(low=low, high=high, log=True):
            return round_value(math.exp(math.log(low) + position * math.log(high / low)), low, high)
        case FloatKnob(low=low, high=high):
            return round_value(low + position * (high - low), low, high)


def middle_of(knob: IntKnob | FloatKnob, low: KnobValue, high: KnobValue) -> KnobValue:
    """The value halfway between two others on the knob's own scale."""
    a, b = float(low), float(high)
    if isinstance(knob, IntKnob):
        return (int(low) + int(high)) // 2
    middle = math.sqrt(a * b) if knob.log else (a + b) / 2
    return round_value(middle, a, b)
