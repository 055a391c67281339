"""Which values a knob can take, as far as the log tells: the menu's, widened by what was tried all the same. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from autoresearch.core.values import KnobValue
from autoresearch.report.history import History, Row
from autoresearch.report.html.text import format_value
from rails import ChoiceKnob, FloatKnob, IntKnob, Knob, MenuError, parse_menu

TRIED = ("evaluated", "eval_failed")
PARTS = 10  # into which a range is divided
FEW = 12  # whole numbers are counted one by one up to so many
MAX_FACTORS = 50  # of a knob that no menu bounds
WIDE = 100.0  # a range of no menu with ends so far apart is seen on a log scale


@dataclass(frozen=True, slots=True)
class Domain:
    """The values of one knob: ``factors`` in their order, or else a range from ``low`` to ``high``."""

    knob: str
    factors: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    baseline: KnobValue | None = None
    doc: str = ""

    def place(self, value: KnobValue) -> float | None:
        """Where in the range ``value`` lies, from 0 to 1; ``None`` if it does not."""
        if isinstance(value, str) or not self.low <= value <= self.high:
            return None
        if self.high == self.low:
            return 0.0
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def at(self, place: float) -> float:
        """The value at a place, the inverse of ``place``."""
        if self.log:
            return float(self.low * (self.high / self.low) ** place)
        return self.low + place * (self.high - self.low)

    def part(self, value: KnobValue) -> int | None:
        """Which of the ``PARTS`` equal parts of the range holds ``value``."""
        place = self.place(value)
        return None if place is None else min(PARTS - 1, int(place * PARTS))


def domains(history: History) -> tuple[Domain, ...]:
    """One per knob: the menu's in its order, then those that were tried without being on it."""
    tried: dict[str, list[KnobValue]] = {}
    for row in history.rows:
        if is_tried(row) and row.knob is not None and row.new_value is not None:
            tried.setdefault(row.knob, []).append(row.new_value)
    menu = _menu(history)
    names = [*history.knobs, *sorted(set(tried) - set(history.knobs))]
    return tuple(_domain(name, menu.get(name), tried.get(name, []), history.baseline_cfg.get(name)) for name in names)


def is_tried(row: Row) -> bool:
    return row.stage in TRIED


def _menu(history: History) -> dict[str, Knob]:
    """The run's own menu; nothing where another version wrote one that cannot be read."""
    try:
        return dict(parse_menu(dict(history.menu)).knobs)
    except MenuError:
        return {}


def _domain(name: str, knob: Knob | None, tried: list[KnobValue], baseline: KnobValue | None) -> Domain:
    match knob:
        case IntKnob() | FloatKnob():
            numbers = [v for v in tried if not isinstance(v, str)]
            low, high = min([knob.low, *numbers]), max([knob.high, *numbers])
            log = isinstance(knob, FloatKnob) and knob.log and low > 0
            whole = isinstance(knob, IntKnob)
            return Domain(name, (), float(low), float(high), log, whole, baseline, knob.doc)
        case ChoiceKnob():
            known = [format_value(c) for c in knob.choices]
            return Domain(name, tuple(_with(known, tried)), baseline=baseline, doc=knob.doc)
        case None:
            return _unlisted(name, tried, baseline)


def _unlisted(name: str, tried: list[KnobValue], baseline: KnobValue | None) -> Domain:
    """Of a knob that no menu describes: the tried values one by one, or where they are many numbers a range."""
    numbers = {v for v in tried if not isinstance(v, str)}
    if len(numbers) > FEW:
        low, high = float(min(numbers)), float(max(numbers))
        return Domain(name, (), low, high, low > 0 and high / low >= WIDE, baseline=baseline)
    return Domain(name, tuple(_with([], tried)[:MAX_FACTORS]), baseline=baseline)


def _with(known: list[str], tried: Iterable[KnobValue]) -> list[str]:
    """The menu's choices, and in rising order what was tried beside them."""
    others = sorted({v for v in tried if format_value(v) not in known}, key=lambda v: (isinstance(v, str), v))
    return list(dict.fromkeys([*known, *map(format_value, others)]))
