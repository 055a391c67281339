"""The column of a metric as numbers: units and decimal commas are read, and what is not a number is named. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch.core.text import plural
from autoresearch.errors import CorpusError
from autoresearch.report.audit.log import finite, shortened
from autoresearch.trials.command.number import parse_number

_NUMBER_AND_UNIT = re.compile(
    r"([+-]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\W\d_][^\W\d_/]*(?:/[^\W\d_]+)*|%)"
)
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+\.\d*")  # the only comma that cannot be a decimal point
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Cell:
    """One value as written. ``measured``: by its status it should be a number."""

    place: str
    text: str
    measured: bool = True


def read_values(
    cells: Sequence[Cell], name: str, path: str, *, comma_is_point: bool = False
) -> tuple[list[float | None], tuple[str, ...]]:
    """The number of each cell, ``None`` where there is none, and what a reader of the audit should know of them.

    ``comma_is_point``: ``0,93`` is a number, as in a table that semicolons separate. Raises ``CorpusError`` for a comma
    that may be a decimal point elsewhere, and for values in different units, which cannot be compared.
    """
    found = [_split(cell.text, comma_is_point) for cell in cells]
    values = [value for value, _ in found]
    _refuse_different_units(cells, values, [unit for _, unit in found], name, path)
    unread = [cell for cell, value in zip(cells, values, strict=True) if value is None and cell.measured]
    if not unread:
        return values, ()
    if comma := next((cell for cell in unread if _DECIMAL_COMMA.match(cell.text.strip())), None):
        what = f"{path}: {comma.place}: {name} is {shortened(comma.text)[:40]!r}, whose comma may be a decimal point"
        raise CorpusError(what, hint="write it with a point, or none")
    first = unread[0]
    shown = f"{first.place}: {shortened(first.text)[:40]!r}" if first.text.strip() else f"{first.place}: empty"
    return values, (f"{plural(len(unread), 'row')} without a number in {name} counted as failed ({shown})",)


def _split(text: str, comma_is_point: bool) -> tuple[float | None, str]:
    """A number and its unit."""
    text, unit = text.strip(), ""
    if match := _NUMBER_AND_UNIT.fullmatch(text):
        text, unit = match[1], match[2]
    if comma_is_point and _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        return finite(parse_number(text)), unit
    except ValueError:
        return None, unit


def _refuse_different_units(
    cells: Sequence[Cell], values: Sequence[float | None], units: Sequence[str], name: str, path: str
) -> None:
    """A number without a unit is in that of the others, but for per cent: 0.91 may mean 91%."""
    first: dict[str, str] = {}
    for cell, value, unit in zip(cells, values, units, strict=True):
        if value is not None:
            first.setdefault(unit, cell.place)
    if len(first) > 2 or (len(first) == 2 and ("" not in first or "%" in first)):
        (one, here), (other, there) = list(first.items())[-2:]
        what = f"{path}: {name} is in {one or 'no unit'} at {here} and in {other or 'no unit'} at {there}"
        raise CorpusError(what, hint="convert the values to one unit")
