"""How much of the menu was tried: a row of cells per knob. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from autoresearch.core.text import plural
from autoresearch.report.history import History, Row
from autoresearch.report.html.domain import FEW, PARTS, Domain, domains, is_tried
from autoresearch.report.html.text import format_value

SHADES = 4
LEAST_MOST = 30  # a shade stands for a factor of trials: the darkest for at least so many


@dataclass(frozen=True, slots=True)
class Cell:
    """One value, or one part of a range."""

    label: str
    tried: int
    keeps: int
    is_baseline: bool
    level: int = 0  # its shade, from 0 for never tried to ``SHADES``

    @property
    def title(self) -> str:
        """What a pointer over the cell is told."""
        times = "never tried" if not self.tried else f"tried {plural(self.tried, 'time')}, {plural(self.keeps, 'keep')}"
        return f"{self.label}: {times}" + (", the baseline's own" if self.is_baseline else "")


@dataclass(frozen=True, slots=True)
class Covered:
    """One knob of the menu."""

    domain: Domain
    cells: tuple[Cell, ...]
    in_parts: bool
    tried: int

    @property
    def reached(self) -> int:
        """Cells that were tried or hold the baseline."""
        return sum(cell.tried > 0 or cell.is_baseline for cell in self.cells)


def coverage(history: History) -> tuple[Covered, ...]:
    """One entry per knob, in the menu's order."""
    rows: dict[str, list[Row]] = {}
    for row in history.rows:
        if is_tried(row) and row.knob is not None:
            rows.setdefault(row.knob, []).append(row)
    found = [_covered(domain, rows.get(domain.knob, [])) for domain in domains(history)]
    most = max((cell.tried for entry in found for cell in entry.cells), default=0)
    return tuple(
        replace(entry, cells=tuple(replace(cell, level=_level(cell.tried, most)) for cell in entry.cells))
        for entry in found
    )


def _level(tried: int, most: int) -> int:
    """By equal factors up to the most that any cell was tried."""
    if not tried:
        return 0
    return 1 + min(SHADES - 1, int((SHADES - 1) * math.log(tried) / math.log(max(most, LEAST_MOST)) + 1e-9))


def _covered(domain: Domain, rows: list[Row]) -> Covered:
    values = one_by_one(domain)
    if values:
        names = [format_value(r.new_value) for r in rows]
        own = format_value(domain.baseline)
        cells = [
            Cell(value, names.count(value), _keeps(rows, names, value), domain.baseline is not None and own == value)
            for value in values
        ]
    else:
        cells = list(_parts(domain, rows))
    return Covered(domain, tuple(cells), not values, len(rows))


def one_by_one(domain: Domain) -> tuple[str, ...]:
    """The values of a knob that has only a few; none for a range."""
    if domain.factors:
        return domain.factors
    if domain.whole and domain.high - domain.low < FEW:
        return tuple(str(n) for n in range(int(domain.low), int(domain.high) + 1))
    return ()


def _keeps(rows: list[Row], names: list[str], value: str) -> int:
    return sum(row.decision == "keep" for row, name in zip(rows, names, strict=True) if name == value)


def _parts(domain: Domain, rows: list[Row]) -> Iterator[Cell]:
    held: list[list[Row]] = [[] for _ in range(PARTS)]
    for row in rows:
        part = None if row.new_value is None else domain.part(row.new_value)
        if part is not None:
            held[part].append(row)
    own = None if domain.baseline is None else domain.part(domain.baseline)
    for n, mine in enumerate(held):
        label = f"{domain.at(n / PARTS):.3g} to {domain.at((n + 1) / PARTS):.3g}"
        yield Cell(label, len(mine), sum(r.decision == "keep" for r in mine), n == own)
