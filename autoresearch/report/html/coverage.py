"""How much of the menu was tried: a row of cells per knob. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from autoresearch.core.text import plural
from autoresearch.report.history import History, Row
from autoresearch.report.html.domain import MAX_DISCRETE_VALUES, PARTS, KnobDomain, build_domains, is_tried
from autoresearch.report.html.text import format_value

SHADES = 4
MIN_DARKEST_TRIALS = 30  # each shade is an equal factor of trials; the darkest means at least this many


@dataclass(frozen=True, slots=True)
class Cell:
    """One value, or one part of a range."""

    label: str
    tried: int
    keeps: int
    is_baseline: bool
    level: int = 0  # its shade, from 0 (never tried) to ``SHADES``

    @property
    def title(self) -> str:
        """The tooltip of the cell."""
        times = "never tried" if not self.tried else f"tried {plural(self.tried, 'time')}, {plural(self.keeps, 'keep')}"
        return f"{self.label}: {times}" + (", the baseline's value" if self.is_baseline else "")


@dataclass(frozen=True, slots=True)
class KnobCoverage:
    """The cells of one knob."""

    domain: KnobDomain
    cells: tuple[Cell, ...]
    in_parts: bool
    tried: int

    @property
    def reached(self) -> int:
        """Cells that were tried or hold the baseline."""
        return sum(cell.tried > 0 or cell.is_baseline for cell in self.cells)


def build_coverage(history: History) -> tuple[KnobCoverage, ...]:
    """One entry per knob, in the menu's order."""
    rows: dict[str, list[Row]] = {}
    for row in history.rows:
        if is_tried(row) and row.knob is not None and not row.several:
            rows.setdefault(row.knob, []).append(row)
    found = [_cover_knob(domain, rows.get(domain.knob, [])) for domain in build_domains(history)]
    most = max((cell.tried for entry in found for cell in entry.cells), default=0)
    return tuple(
        replace(entry, cells=tuple(replace(cell, level=_level(cell.tried, most)) for cell in entry.cells))
        for entry in found
    )


def _level(tried: int, most: int) -> int:
    """Logarithmic in the number of trials, up to ``most``, the largest number of any cell."""
    if not tried:
        return 0
    return 1 + min(SHADES - 1, int((SHADES - 1) * math.log(tried) / math.log(max(most, MIN_DARKEST_TRIALS)) + 1e-9))


def _cover_knob(domain: KnobDomain, rows: list[Row]) -> KnobCoverage:
    values = discrete_values(domain)
    if values:
        names = [format_value(r.new_value) for r in rows]
        own = format_value(domain.baseline)
        cells = [
            Cell(value, names.count(value), _keeps(rows, names, value), domain.baseline is not None and own == value)
            for value in values
        ]
    else:
        cells = list(_parts(domain, rows))
    return KnobCoverage(domain, tuple(cells), not values, len(rows))


def discrete_values(domain: KnobDomain) -> tuple[str, ...]:
    """The values of a knob that has only a few; empty for a range."""
    if domain.factors:
        return domain.factors
    if domain.whole and domain.high - domain.low < MAX_DISCRETE_VALUES:
        return tuple(str(n) for n in range(int(domain.low), int(domain.high) + 1))
    return ()


def _keeps(rows: list[Row], names: list[str], value: str) -> int:
    return sum(row.decision == "keep" for row, name in zip(rows, names, strict=True) if name == value)


def _parts(domain: KnobDomain, rows: list[Row]) -> Iterator[Cell]:
    held: list[list[Row]] = [[] for _ in range(PARTS)]
    for row in rows:
        part = None if row.new_value is None else domain.part_of(row.new_value)
        if part is not None:
            held[part].append(row)
    own = None if domain.baseline is None else domain.part_of(domain.baseline)
    for n, mine in enumerate(held):
        label = f"{domain.value_at(n / PARTS):.3g} to {domain.value_at((n + 1) / PARTS):.3g}"
        yield Cell(label, len(mine), sum(r.decision == "keep" for r in mine), n == own)
