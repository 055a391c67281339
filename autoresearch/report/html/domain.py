"""The values that a knob can take: those of the menu in the log, and any other value that was tried. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from autoresearch.core.values import KnobValue
from autoresearch.report.history import History, Row
from autoresearch.report.html.text import format_value
from rails import ChoiceKnob, FloatKnob, IntKnob, Knob, MenuError, parse_menu

TRIED = ("evaluated", "stopped_early", "eval_failed")
PARTS = 10  # equal parts of a range
MAX_DISCRETE_VALUES = 12  # more than that are shown as a range
MAX_FACTORS = 50  # of a knob that is not on the menu
LOG_SCALE_RATIO = 100.0  # high / low of a range that is not on the menu, from which its scale is logarithmic


@dataclass(frozen=True, slots=True)
class KnobDomain:
    """The values of one knob: ``factors`` in their order, or if that is empty a range from ``low`` to ``high``."""

    knob: str
    factors: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    baseline: KnobValue | None = None
    doc: str = ""

    def position(self, value: KnobValue) -> float | None:
        """The position of ``value`` in the range, from 0 to 1; ``None`` if it is outside."""
        if isinstance(value, str) or not self.low <= value <= self.high:
            return None
        if self.high == self.low:
            return 0.0
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def value_at(self, position: float) -> float:
        """The value at ``position``, the inverse of the method of that name."""
        if self.log:
            return float(self.low * (self.high / self.low) ** position)
        return self.low + position * (self.high - self.low)

    def part_of(self, value: KnobValue) -> int | None:
        """Which of the ``PARTS`` equal parts of the range contains ``value``; ``None`` if it is outside."""
        position = self.position(value)
        return None if position is None else min(PARTS - 1, int(position * PARTS))


def build_domains(history: History) -> tuple[KnobDomain, ...]:
    """One per knob: those of the menu in its order, then knobs that were tried without being on it."""
    tried: dict[str, list[KnobValue]] = {}
    for row in history.rows:
        if is_tried(row) and row.knob is not None and not row.several and row.new_value is not None:
            tried.setdefault(row.knob, []).append(row.new_value)
    menu = _menu(history)
    names = [*history.knobs, *sorted(set(tried) - set(history.knobs))]
    return tuple(_domain(name, menu.get(name), tried.get(name, []), history.baseline_cfg.get(name)) for name in names)


def is_tried(row: Row) -> bool:
    return row.stage in TRIED


def _menu(history: History) -> dict[str, Knob]:
    """The knobs of the run's menu; empty if it cannot be parsed, for example because another version wrote it."""
    try:
        return dict(parse_menu(dict(history.menu)).knobs)
    except MenuError:
        return {}


def _domain(name: str, knob: Knob | None, tried: list[KnobValue], baseline: KnobValue | None) -> KnobDomain:
    match knob:
        case IntKnob() | FloatKnob():
            numbers = [v for v in tried if not isinstance(v, str)]
            low, high = min([knob.low, *numbers]), max([knob.high, *numbers])
            log = isinstance(knob, FloatKnob) and knob.log and low > 0
            whole = isinstance(knob, IntKnob)
            return KnobDomain(name, (), float(low), float(high), log, whole, baseline, knob.doc)
        case ChoiceKnob():
            known = [format_value(c) for c in knob.choices]
            return KnobDomain(name, tuple(_merge_values(known, tried)), baseline=baseline, doc=knob.doc)
        case None:
            return _domain_off_menu(name, tried, baseline)
        case _:
            assert_never(knob)


def _domain_off_menu(name: str, tried: list[KnobValue], baseline: KnobValue | None) -> KnobDomain:
    """The domain of a knob that is not on the menu: the tried values, or a range if they are many numbers."""
    numbers = {v for v in tried if not isinstance(v, str)}
    if len(numbers) > MAX_DISCRETE_VALUES:
        low, high = float(min(numbers)), float(max(numbers))
        return KnobDomain(name, (), low, high, low > 0 and high / low >= LOG_SCALE_RATIO, baseline=baseline)
    return KnobDomain(name, tuple(_merge_values([], tried)[:MAX_FACTORS]), baseline=baseline)


def _merge_values(known: list[str], tried: Iterable[KnobValue]) -> list[str]:
    """The menu's choices, followed by the other tried values in ascending order."""
    others = sorted({v for v in tried if format_value(v) not in known}, key=lambda v: (isinstance(v, str), v))
    return list(dict.fromkeys([*known, *map(format_value, others)]))
