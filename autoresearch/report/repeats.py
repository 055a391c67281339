"""Find repeated proposals: equal (knob, value) pairs, with floats equal within 1e-9 relative. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

from autoresearch.core.values import KnobValue
from rails import same_value


@dataclass(slots=True)
class PairNumbers:
    """Numbers the distinct pairs from 0 in the order of appearance; a look-up is by bisection."""

    count: int = 0
    _texts: dict[tuple[str, str], int] = field(default_factory=dict)
    _numbers: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    _exact: dict[tuple[str, float], int] = field(default_factory=dict)  # of the entries of _numbers: most repeats

    def number_of(self, knob: str, value: KnobValue) -> int:
        """The number of this pair: that of an equal earlier pair, or else the next number."""
        if isinstance(value, str):
            number = self._texts.setdefault((knob, value), self.count)
        else:
            known = self._exact.get((knob, value))
            number = self._number_of(knob, value) if known is None else known
        self.count = max(self.count, number + 1)
        return number

    def _number_of(self, knob: str, value: float) -> int:
        known = self._numbers.setdefault(knob, [])
        at = bisect_left(known, (value, -1))
        for other, number in known[max(0, at - 1) : at + 1]:  # if any known value is equal, a neighbour is
            if same_value(other, value):
                return number
        known.insert(at, (value, self.count))
        self._exact[knob, value] = self.count
        return self.count


def number_pairs(proposals: Iterable[tuple[str, KnobValue]]) -> list[int]:
    """The pair number of each proposal. A number that occurred before marks a repeat."""
    pairs = PairNumbers()
    return [pairs.number_of(knob, value) for knob, value in proposals]
