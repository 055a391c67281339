"""A suite's figures, which are plain JSON of any shape, as tables. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from autoresearch.report.html.text import clean, with_minus

MAX_ROWS, MAX_COLUMNS, MAX_DEPTH = 200, 14, 6
CELL_CHARS, LABEL_CHARS = 160, 60
FIRST = "figures"
ESTIMATE = (("value", "mean"), ("lower", "low"), ("upper", "high"))  # fields of a figure with its bounds, in each name
_ONE = r"(?:< )?[-+\N{MINUS SIGN}]?\d[\d,.]*(?:e[-+]?\d+)?%?"
_NUMBER = re.compile(rf"{_ONE}(?: to {_ONE}| \[{_ONE}, {_ONE}\])?(?: (?:s|min|h|J|Wh)\b.*)?")


@dataclass(frozen=True, slots=True)
class Table:
    """``left_out`` rows are not shown. The first column names the row."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int = 0

    @property
    def classes(self) -> tuple[Markup, ...]:
        """The attribute of each column's cells: a column of numbers is aligned to the right, but for the first."""
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.head)
        return tuple(
            Markup(' class="number"') if place and _are_numbers(cells) else Markup("")
            for place, cells in enumerate(columns)
        )


def _are_numbers(cells: Iterable[str]) -> bool:
    found = [cell for cell in cells if cell not in ("", "-")]
    return bool(found) and all(map(_NUMBER.fullmatch, found))


def tables_of(figures: Mapping[str, Any]) -> list[Table]:
    """The figures as tables: single values first, then each group under its name."""
    return list(_tables("", figures, 0))


def _tables(title: str, value: Mapping[str, Any], depth: int) -> Iterator[Table]:
    value = {key: _estimate(item) if _is_estimate(item) else item for key, item in value.items()}
    singles = [(label(key), cell(item)) for key, item in value.items() if _is_single(item)]
    if singles:
        yield _table(title or FIRST, ("", ""), singles)
    for key, item in value.items():
        name = f"{title}: {label(key)}" if title else label(key)
        rows = _rows(item)
        if _is_single(item):
            continue
        if rows is not None:
            yield _with_columns(name, rows, is_list=isinstance(item, list))
        elif isinstance(item, Mapping) and depth < MAX_DEPTH:
            yield from _tables(name, item, depth + 1)
        else:
            yield _table(name, ("", ""), [("", cell(item))])


def _rows(value: Any) -> list[tuple[str, Mapping[str, Any]]] | None:
    """Named rows with the same kind of single values, or ``None`` for what is not a table."""
    if isinstance(value, Mapping):
        named = [(label(key), row) for key, row in value.items()]
    elif isinstance(value, list) and value:
        named = [(str(number), row) for number, row in enumerate(value, 1)]
    else:
        return None
    if not named or not all(isinstance(row, Mapping) for _, row in named):
        return None
    flat: list[tuple[str, Mapping[str, Any]]] = [(name, dict(_flattened(row))) for name, row in named]
    return flat if all(map(_is_single, (item for _, row in flat for item in row.values()))) else None


def _flattened(row: Mapping[str, Any], before: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The values of a row; a group inside it becomes columns named ``group: field``, an estimate one cell."""
    for key, value in row.items():
        name = f"{before}{key}"
        if _is_estimate(value):
            yield name, _estimate(value)
        elif isinstance(value, Mapping) and value and depth < 2:
            yield from _flattened(value, f"{name}: ", depth + 1)
        else:
            yield name, value


def _is_estimate(value: Any) -> bool:
    return isinstance(value, Mapping) and all(any(key in value for key in keys) for keys in ESTIMATE)


def _estimate(value: Mapping[str, Any]) -> str:
    """``0.33`` where the bounds are the value, else ``0.33 [0.33, 0.58]``."""
    point, low, high = (next(value[key] for key in keys if key in value) for keys in ESTIMATE)
    if low == high == point or (low is None and high is None):
        return cell(point)
    return f"{cell(point)} [{cell(low)}, {cell(high)}]"


def _with_columns(title: str, rows: list[tuple[str, Mapping[str, Any]]], *, is_list: bool) -> Table:
    columns = list(dict.fromkeys(key for _, row in rows for key in row))[:MAX_COLUMNS]
    cells = [(name, *(cell(row[c]) if c in row else "" for c in columns)) for name, row in rows]
    head = ("", *map(label, columns))
    if is_list and columns and all(isinstance(row.get(columns[0]), str) for _, row in rows):
        head, cells = head[1:], [row[1:] for row in cells]  # its first field names the row
    return _table(title, head, cells)


def _table(title: str, head: tuple[str, ...], rows: list[Any]) -> Table:
    return Table(title, head, tuple(rows[:MAX_ROWS]), max(0, len(rows) - MAX_ROWS))


def _is_single(value: Any) -> bool:
    """Whether a value fits into one cell: not a group; a short list of plain values does."""
    if isinstance(value, list):
        return not any(isinstance(item, Mapping | list) for item in value)
    return not isinstance(value, Mapping)


def label(key: Any) -> str:
    """The name of a field in words."""
    return clean(str(key).replace("_", " "), LABEL_CHARS)


def cell(value: Any) -> str:
    """One value as text, with four significant digits; a dash for ``None``."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return with_minus(f"{value:,}")
    if isinstance(value, float):
        return with_minus(f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}")
    if isinstance(value, list):
        shown = ", ".join(cell(item) for item in value[:12])
        return clean(f"{shown}, ... ({len(value):,})" if len(value) > 12 else shown or "-", CELL_CHARS)
    return clean(str(value), CELL_CHARS)
