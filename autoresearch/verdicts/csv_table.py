"""Rows of anyone's CSV file by the names of its columns: separated by commas, semicolons or tabs. Pure."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from io import StringIO

from autoresearch.errors import CorpusError

SEPARATORS = (",", ";", "\t")


def read_rows(text: str, columns: Sequence[str], hint: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of ``columns``, in this order, of every row that is not blank, each with the number of its line.

    The first line names the columns, in any order and case; others are ignored. It tells the separator too. A line
    ends with CR, LF or both, and with no other character. Raises ``CorpusError``.
    """
    text = text.removeprefix("\ufeff")
    separator = _separator(text, columns)
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        for column in columns:
            if header.count(column) != 1:
                what = f"the first line is {separator.join(header)[:80]!r}, {_problem(header, column)}"
                raise CorpusError(what, hint=hint)
        places = [header.index(column) for column in columns]
        for row in reader:
            if any(cell.strip() for cell in row):
                if len(row) <= max(places) or any(row[len(header) :]):  # more of them: a decimal comma, mostly
                    raise CorpusError(
                        f"line {reader.line_num} has {len(row)} cells, the first line {len(header)}", hint=hint
                    )
                yield reader.line_num, [row[place].strip() for place in places]
    except csv.Error as e:
        raise CorpusError(f"line {reader.line_num} is not CSV: {e}", hint=hint) from e


def parse_number(text: str, column: str, line: int, hint: str) -> float:
    """The finite number of a cell. Raises ``CorpusError``."""
    try:
        number = math.nan if "_" in text else float(text)  # Python's own 1_000 is not a number of anyone's CSV
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise CorpusError(f"line {line}: the {column} {text[:40]!r} is not a finite number", hint=hint)
    return number


def _separator(text: str, columns: Sequence[str]) -> str:
    """The separator with which the first line names the most columns."""
    first = next(StringIO(text, newline=""), "")

    def named(separator: str) -> int:
        names = {name.strip().strip('"').lower() for name in first.split(separator)}
        return len(names.intersection(columns))

    return max(SEPARATORS, key=named)


def _problem(header: Sequence[str], column: str) -> str:
    return f"with two columns {column}" if column in header else f"without a column {column}"
