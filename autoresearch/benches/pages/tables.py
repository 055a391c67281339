"""A suite's figures, which are plain JSON of any shape, as tables. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autoresearch.report.html.text import clean, with_minus

MAX_ROWS, MAX_COLUMNS, MAX_DEPTH = 200, 14, 6
CELL_CHARS, LABEL_CHARS = 160, 60
FIRST = "figures"


@dataclass(frozen=True, slots=True)
class Table:
    """``left_out`` rows are not shown. The first column names the row."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int = 0


def tables_of(figures: Mapping[str, Any]) -> list[Table]:
    """The figures as tables: single values first, then each group under its name."""
    return list(_tables("", figures, 0))


def _tables(title: str, value: Mapping[str, Any], depth: int) -> Iterator[Table]:
    singles = [(label(key), cell(item)) for key, item in value.items() if _is_single(item)]
    if singles:
        yield _table(title or FIRST, ("", ""), singles)
    for key, item in value.items():
        name = f"{title}: {label(key)}" if title else label(key)
        rows = _rows(item)
        if _is_single(item):
            continue
        if rows is not None:
            yield _with_columns(name, rows)
        elif isinstance(item, Mapping) and depth < MAX_DEPTH:
            yield from _tables(name, item, depth + 1)
        else:
            yield _table(name, ("", ""), [("", cell(item))])


def _rows(value: Any) -> list[tuple[str, Mapping[str, Any]]] | None:
    """Named rows with the same kind of single values, or ``None`` for what is not a table."""
    if isinstance(value, Mapping):
        named = [(label(key), row) for key, row in value.items()]
    elif isinstance(value, list):
        named = [(str(number), row) for number, row in enumerate(value, 1)]
    else:
        return None
    if len(named) < 1 or not all(isinstance(row, Mapping) and all(map(_is_single, row.values())) for _, row in named):
        return None
    return named


def _with_columns(title: str, rows: list[tuple[str, Mapping[str, Any]]]) -> Table:
    columns = list(dict.fromkeys(key for _, row in rows for key in row))[:MAX_COLUMNS]
    cells = [(name, *(cell(row[c]) if c in row else "" for c in columns)) for name, row in rows]
    return _table(title, ("", *map(label, columns)), cells)


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
