"""The rows of a file under its header. A row whose cells do not match the header is never shifted into it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TextIO

from autoresearch.core.text import plural
from autoresearch.energy.power_log.column_names import ColumnName, parse_column_name
from autoresearch.energy.power_log.foreign import refuse_foreign
from autoresearch.energy.power_log.refusal import refusal, show
from autoresearch.energy.power_log.times import looks_like_time
from autoresearch.errors import AutoresearchError

SEPARATORS = (",", ";", "\t", "|", " ")  # " ": any run of spaces, as nvidia-smi dmon writes
FIRST_LINES = 10
MAX_SHORT_FRAC = 0.5  # of the rows: more is not a few torn lines, but another separator
DMON_HINT = "let it print dates and times: nvidia-smi dmon -s p -o DT"
SHIFT_HINT = "is there a comma inside a number or a unit? quote such cells, or separate the columns by ;"


class Row(NamedTuple):
    line: int  # counted from 1
    cells: tuple[str, ...]


@dataclass(slots=True)
class Table:
    """``columns`` is empty where the file has no header. ``short`` rows were cut off and hold nothing that is used."""

    name: str
    columns: tuple[ColumnName, ...] = ()
    rows: list[Row] = field(default_factory=list)
    short: list[Row] = field(default_factory=list)
    long: Row | None = None
    separator: str = ","


def read_table(lines: TextIO | Iterable[str], name: str) -> Table:
    """Raises ``AutoresearchError`` where it is not a table, or a row has more cells than the header."""
    # Zeros are what a crash leaves of a line that was not written yet.
    numbered = [(n, text) for n, line in enumerate(lines, 1) if (text := line.replace("\0", "").rstrip("\r\n")).strip()]
    if not numbered:
        raise refusal(name, "the file is empty")
    refuse_foreign(name, [line for _, line in numbered[:FIRST_LINES]])
    separators: tuple[str, ...] = SEPARATORS
    if match := re.fullmatch(r"sep=(.)", numbered[0][1].strip(), re.IGNORECASE):
        numbered, separators = numbered[1:], (match[1],)  # Excel's first line
    start, separator, header = _find_header(name, numbered, separators)
    columns = tuple(map(parse_column_name, header))
    table = Table(name, columns, separator=separator)
    width = len(columns) or len(_split(numbered[start][1], separator))
    for line, text in numbered[start:]:
        if not text.startswith("#"):
            _add(table, Row(line, tuple(_split(text, separator))), header, width)
    _refuse_mismatch(table, width)
    return table


def _add(table: Table, row: Row, header: Sequence[str], width: int) -> None:
    cells = row.cells
    if list(cells) == list(header):  # the header again: two logs in one file
        return
    if len(cells) < width:
        table.short.append(row)
    elif any(cell.strip() for cell in cells[width:]):
        table.long = table.long or row
    else:
        table.rows.append(row)


def _refuse_mismatch(table: Table, width: int) -> None:
    many_short = len(table.short) > MAX_SHORT_FRAC * (len(table.short) + len(table.rows)) and len(table.short) > 1
    row = table.long or (table.short[0] if many_short else None)
    if row is None:
        return
    what = "the header" if table.columns else "the first line"
    problem = f"{plural(len(row.cells), 'cell')}, but {what} has {width}: {show(', '.join(row.cells))}"
    raise refusal(table.name, problem, SHIFT_HINT, line=row.line)


def _find_header(
    name: str, numbered: Sequence[tuple[int, str]], separators: Sequence[str]
) -> tuple[int, str, list[str]]:
    """Index of the first line after it, separator and cells; no cells where the first line is data already."""
    at = next((n for n, (_, text) in enumerate(numbered) if not text.startswith("#")), len(numbered))
    for n, (_, text) in enumerate(numbered[: at + 1]):
        for separator in separators:
            cells = _split(text.removeprefix("#"), separator)
            names = list(map(parse_column_name, cells))
            if any(c.is_time for c in names) and any(c.is_draw for c in names):
                return n + 1, separator, cells
    _, first = numbered[min(at, len(numbered) - 1)]
    comment = numbered[0][1].lower()
    if comment.startswith("#") and {"gpu", "pwr"} <= set(re.split(r"[#,\s]+", comment)):
        raise refusal(name, "the output of nvidia-smi dmon has no column of times", DMON_HINT)
    for separator in separators:
        cells = _split(first, separator)
        if at < len(numbered) and len(cells) > 1 and looks_like_time(cells[0]):
            return at, separator, []
    raise _bad_header(name, first, separators)


def _bad_header(name: str, first: str, separators: Sequence[str]) -> AutoresearchError:
    names = [parse_column_name(cell) for s in separators for cell in _split(first, s)]
    if any(c.is_time for c in names) and (energy := next((c for c in names if c.is_energy), None)):
        problem = f"no column of watts; {show(energy.text)} is energy, not power"
        return refusal(name, problem, "give a column of watts; a counter of energy is not read")
    missing = "watts" if any(c.is_time for c in names) else "times"
    limits = [c.text for c in names if missing == "watts" and c.watts_per_unit is not None]
    more = f" ({show(limits[0])} is not a power that was drawn)" if limits else ""
    return refusal(name, f"no column of {missing}{more}; its first line is {show(first)}")


def _split(line: str, separator: str) -> list[str]:
    """The cells of one line. A quote that is not closed ends with its line, so that it hides no other line."""
    if separator == " ":
        return line.split()
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [""])
    except csv.Error:  # a cell longer than the library's limit
        return line.split(separator)
