"""Which proposals are the same: (knob, value) pairs, floats equal within 1e-9 relative being one value. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

from autoresearch.core.values import KnobValue
from rails import same_value


@dataclass(slots=True)
class Pairs:
    """Numbers the distinct pairs from 0 in the order in which they appear; a look-up is by bisection."""

    count: int = 0
    _texts: dict[tuple[str, str], int] = field(default_factory=dict)
    _numbers: dict[str, list[tuple[float, int]]] = field(default_factory=dict)

    def number_of(self, knob: str, value: KnobValue) -> int:
        """The number of this pair: an earlier one's if it is the same, else the next."""
        if isinstance(value, str):
            number = self._texts.setdefault((knob, value), self.count)
        else:
            number = self._number_of(self._numbers.setdefault(knob, []), value)
        self.count = max(self.count, number + 1)
        return number

    def _number_of(self, known: list[tuple[float, int]], value: float) -> int:
        at = bisect_left(known, (value, -1))
        for other, number in known[max(0, at - 1) : at + 1]:  # if any known value is the same, so is a neighbour
            if same_value(other, value):
                return number
        known.insert(at, (value, self.count))
        return self.count


def pair_numbers(proposals: Iterable[tuple[str, KnobValue]]) -> list[int]:
    """The pair number of each proposal. A number that was there before marks a repeat."""
    pairs = Pairs()
    return [pairs.number_of(knob, value) for knob, value in proposals]
