"""Cells that hold numbers. Which of ``.`` and ``,`` is the decimal mark follows from all cells of a column."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from autoresearch.energy.power_log.column_names import OTHER_UNITS, WATT_UNITS
from autoresearch.energy.power_log.refusal import refusal, show

UNKNOWN = ("", "-", "--", "n/a", "na", "nan", "null", "none", "err!", "err", "unknown", "?", "not supported")
CELL = re.compile(r"([+-]?[0-9.,](?:[0-9.,'_ \u00a0\u202f\u2009]*[0-9.,])?(?:[eE][+-]?[0-9]+)?)\s*([^\W\d_]*|%)")
GROUPS = re.compile(r"[+-]?\d{1,3}(?:[ ',._\u00a0\u202f\u2009]\d{3})+")
SPACES = re.compile(r"[ '_\u00a0\u202f\u2009]")
PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
CLOCK_FRACTION = re.compile(r"\d\d:\d\d:\d\d([.,])\d")
DECIMAL_HINT = "write the numbers without thousands separators and with a decimal point"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with the unit that its cell has, empty where it has none."""

    value: float
    unit: str


def is_unknown(cell: str) -> bool:
    """Whether the cell states that there is no value: empty, ``[N/A]``, ``-`` and the like."""
    text = cell.strip().lower()
    return text in UNKNOWN or (text.startswith("[") and text.endswith("]"))


def decimal_mark(name: str, cells: Iterable[tuple[int, str]]) -> str:
    """``.`` or ``,``; ``cells`` are line numbers and texts. Raises where ``1,234`` may be either number."""
    marks: dict[str, tuple[int, str]] = {}
    unclear: tuple[int, str] | None = None
    for line, cell in cells:
        match = CELL.fullmatch(cell.strip())
        mark = _mark_of(match[1]) if match and ("," in match[1] or "." in match[1]) else ""
        if mark == "?":
            unclear = unclear or (line, cell)
        elif mark:
            marks.setdefault(mark, (line, cell))
    if len(marks) == 2:
        (first, a), (second, b) = marks["."], marks[","]
        problem = f"{show(b)} has a decimal comma, and line {first} a decimal point: {show(a)}"
        raise refusal(name, problem, DECIMAL_HINT, line=second)
    if not marks and unclear:
        raise refusal(name, f"{show(unclear[1])} may be two numbers", DECIMAL_HINT, line=unclear[0])
    return next(iter(marks), ".")


def _mark_of(number: str) -> str:
    """The decimal mark of one number; ``?`` for ``1,234``; empty for ``1.234``, which gives no evidence."""
    mantissa = re.split("[eE]", number)[0]
    if "." in mantissa and "," in mantissa:
        return max(".,", key=mantissa.rfind)
    mark = "," if "," in mantissa else "."
    if mantissa.count(mark) > 1:
        return "." if mark == "," else ","
    grouped = GROUPS.fullmatch(mantissa) and not mantissa.lstrip("+-").startswith("0")
    if not grouped:
        return mark
    return "?" if mark == "," else ""


def grouped_or_decimal(cells: Iterable[tuple[int, str]]) -> tuple[int, str] | None:
    """The first cell like ``1.234``, where no cell of the column shows what its point is; else ``None``."""
    first: tuple[int, str] | None = None
    for line, cell in cells:
        match = CELL.fullmatch(cell.strip())
        if match and ("," in match[1] or "." in match[1]):
            if _mark_of(match[1]):
                return None
            first = first or (line, cell)
    return first


def decimal_mark_elsewhere(cells: Iterable[str]) -> str | None:
    """The decimal mark of the first cell of another column that has one for certain: ``65.5``, ``22:00:00,5``."""
    for cell in cells:
        if match := CLOCK_FRACTION.search(cell):
            return match[1]
        match = CELL.fullmatch(cell.strip())
        if match and match[1].count(".") + match[1].count(",") == 1 and (mark := _mark_of(match[1])) in (".", ","):
            return mark
    return None


def parse_quantity(cell: str, mark: str = ".") -> Quantity | None:
    """Number and unit of a cell; ``None`` where it is not a number."""
    match = CELL.fullmatch(cell.strip())
    if match is None:
        return None
    mantissa, exponent = re.fullmatch(r"([^eE]*)(.*)", match[1]).groups()  # type: ignore[union-attr]
    whole, point, fraction = mantissa.partition(mark)
    if not whole.lstrip("+-").isdigit() and whole.lstrip("+-"):
        if not GROUPS.fullmatch(whole):
            return None
        whole = SPACES.sub("", whole).replace(",", "").replace(".", "")
    text = whole + ("." if point else "") + fraction + exponent
    return Quantity(float(text), match[2]) if PLAIN.fullmatch(text) else None


def watts_per_unit(unit: str) -> float | None:
    """``None`` for a unit that is not a power, and for ``MW``, which may be mega or milli."""
    return None if unit.startswith("M") else WATT_UNITS.get(unit.lower().replace("\u00b5", "u").replace("\u03bc", "u"))


def is_other_quantity(unit: str) -> bool:
    """Whether the unit is of something else than power, or is ambiguous."""
    return unit.startswith("MW") or unit.lower() in OTHER_UNITS


def is_plausible(watts: float, maximum: float) -> bool:
    return math.isfinite(watts) and 0 <= watts <= maximum
