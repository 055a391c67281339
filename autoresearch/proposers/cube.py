"""Configurations as points of the unit cube, for models of the joint space. Pure.

A number has one coordinate, on a logarithmic scale where the menu says so; ordered choices have their rank; words have
one coordinate each, of which one is set.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoresearch.proposers.space import round_value
from rails import ChoiceKnob, Config, FloatKnob, IntKnob, Knob, Menu, Value

Array = NDArray[Any]
ONE_HOT = math.sqrt(0.5)  # of one coordinate of a word: two different words are 1 apart
CAUTIOUS_STEP = 0.3
LOG_RATIO = 16  # whole numbers whose range is this wide, from above 0, are taken on a logarithmic scale


@dataclass(frozen=True)
class Cube:
    """The coordinates of a menu. ``owner`` has, for each coordinate, the index of its knob."""

    menu: Menu

    @cached_property
    def knobs(self) -> tuple[Knob, ...]:
        return tuple(self.menu.knobs.values())

    @cached_property
    def owner(self) -> tuple[int, ...]:
        return tuple(index for index, knob in enumerate(self.knobs) for _ in range(_width(knob)))

    def places(self, cfgs: Iterable[Config]) -> Array:
        """One row for each configuration and one column for each knob: its position in its range, 0 to 1."""
        rows = [[position(knob, cfg[knob.name]) for knob in self.knobs] for cfg in cfgs]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.knobs))

    def expand(self, places: Array) -> Array:
        """The coordinates of rows of positions."""
        columns = []
        for index, knob in enumerate(self.knobs):
            column = places[:, index]
            if is_word(knob):
                ranks = np.rint(column * (len(_choices(knob)) - 1))
                columns += [np.where(ranks == rank, ONE_HOT, 0.0) for rank in range(len(_choices(knob)))]
            else:
                columns.append(column)
        return np.stack(columns, axis=1)

    def snap(self, places: Array) -> Array:
        """The nearest positions that are values of the menu."""
        snapped = np.clip(places, 0.0, 1.0)
        for index, knob in enumerate(self.knobs):
            if isinstance(knob, ChoiceKnob):
                steps = len(knob.choices) - 1
                snapped[:, index] = np.rint(snapped[:, index] * steps) / steps if steps else 0.0
            elif knob.high <= knob.low:
                snapped[:, index] = 0.0
            elif isinstance(knob, IntKnob):
                snapped[:, index] = _snap_integers(knob, snapped[:, index])
        return snapped

    @cached_property
    def caution(self) -> Array:
        """For each coordinate what a step counts: of coarse choices and words less than its length."""
        return np.array([_caution(self.knobs[index]) for index in self.owner])

    def by_knob(self, values: Sequence[float] | Array) -> Array:
        """For each knob the largest value of its coordinates."""
        most = np.zeros(len(self.knobs))
        np.maximum.at(most, np.array(self.owner), np.asarray(values))
        return most

    def config(self, row: Array) -> dict[str, Value]:
        """The values of a row of positions."""
        return {knob.name: value_at(knob, float(place)) for knob, place in zip(self.knobs, row, strict=True)}


def position(knob: Knob, value: Value) -> float:
    """Where an ordered value lies in its knob's range, 0 to 1; a value that is not on the menu is clipped."""
    if isinstance(knob, ChoiceKnob):
        places = len(knob.choices) - 1
        index = knob.choices.index(value) if value in knob.choices else _nearest(knob.choices, value)
        return index / places if places else 0.0
    low, high, number = float(knob.low), float(knob.high), float(value)
    if high <= low:
        return 0.0
    if is_log(knob):
        number = max(number, low)
        return min(1.0, math.log(number / low) / math.log(high / low))
    return min(1.0, max(0.0, (number - low) / (high - low)))


def value_at(knob: Knob, place: float) -> Value:
    """The ordered value nearest to a position."""
    place = min(1.0, max(0.0, place))
    if isinstance(knob, ChoiceKnob):
        return knob.choices[round(place * (len(knob.choices) - 1))]
    low, high = float(knob.low), float(knob.high)
    number = low * (high / low) ** place if is_log(knob) and high > low else low + place * (high - low)
    if isinstance(knob, IntKnob):
        return min(knob.high, max(knob.low, round(number)))
    return round_value(number, low, high)


def step_of(knob: Knob, place: float) -> float:
    """The smallest step from ``place`` that leads to another value; of a real number none is too small."""
    if isinstance(knob, ChoiceKnob):
        return 1.0 / max(1, len(knob.choices) - 1)
    if isinstance(knob, FloatKnob):
        return 0.0
    value = int(value_at(knob, place))
    other = value + 1 if value < knob.high else value - 1
    return abs(position(knob, other) - position(knob, value)) if knob.high > knob.low else 0.0


def _snap_integers(knob: IntKnob, column: Array) -> Array:
    low, high = float(knob.low), float(knob.high)
    if is_log(knob):
        numbers = np.clip(np.rint(low * (high / low) ** column), low, high)
        return np.log(numbers / low) / math.log(high / low)
    return (np.clip(np.rint(low + column * (high - low)), low, high) - low) / (high - low)


def is_log(knob: Knob) -> bool:
    """Whether ratios of its values matter."""
    if isinstance(knob, FloatKnob):
        return knob.log
    return isinstance(knob, IntKnob) and knob.low > 0 and knob.high >= LOG_RATIO * knob.low


def is_word(knob: Knob) -> bool:
    """Whether its values have no order."""
    return isinstance(knob, ChoiceKnob) and isinstance(knob.choices[0], str)


def _choices(knob: Knob) -> tuple[int | str, ...]:
    assert isinstance(knob, ChoiceKnob)
    return knob.choices


def _width(knob: Knob) -> int:
    return len(_choices(knob)) if is_word(knob) else 1


def _caution(knob: Knob) -> float:
    """Scales the smallest step to ``CAUTIOUS_STEP`` where it is larger."""
    if is_word(knob):
        return CAUTIOUS_STEP
    step = step_of(knob, position(knob, knob.default))
    return min(1.0, CAUTIOUS_STEP / step) if step > 0 else 1.0


def _nearest(choices: Sequence[int | str], value: Value) -> int:
    """The rank of the nearest number; the first for anything that is not one."""
    if isinstance(value, str):
        return 0
    return min(range(len(choices)), key=lambda i: abs(float(choices[i]) - float(value)))
