"""Residuals of anyone's repeated measurements, the noise of a simulated night: rows of ``group,value`` as CSV."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable

from autoresearch.errors import CorpusError

COLUMNS = ["group", "value"]
MAX_ROWS = 1_000_000
MAX_RESIDUAL = 1e6
FORMAT = 'a first line "group,value", then one measurement a line, with the same group for repeats of the same thing'


def parse_repeats(lines: Iterable[str]) -> dict[str, list[float]]:
    """Parse CSV with the columns ``group`` and ``value``, in any order. Raises ``CorpusError`` with the line."""
    reader = csv.reader(lines)
    header = [name.strip().lstrip("\ufeff").lower() for name in next(reader, [])]
    if sorted(header) != COLUMNS:
        raise CorpusError(f"the first line is {','.join(header)[:80]!r}, not the columns group,value", hint=FORMAT)
    group_at, value_at = header.index("group"), header.index("value")
    groups: dict[str, list[float]] = {}
    for number, row in enumerate(_rows(reader), 1):
        if number > MAX_ROWS:
            raise CorpusError(f"more than {MAX_ROWS:,} rows", hint="a sample of them")
        if not row:
            continue
        if len(row) != 2:
            raise CorpusError(f"line {reader.line_num} has {len(row)} columns instead of 2", hint=FORMAT)
        groups.setdefault(row[group_at].strip(), []).append(_value(row[value_at], reader.line_num))
    return groups


def relative_residuals(groups: dict[str, list[float]]) -> list[float]:
    """Return (value - mean of its group) / |mean|, scaled to the variance of one measurement, of all groups together.

    Groups with one value say nothing about noise and are left out. The residuals of a group of n sum to zero, and their
    mean square is (n - 1) / n of the variance: the factor sqrt(n / (n - 1)) restores it. So the pool has mean zero, and
    its tails are those of the measurements. Raises ``CorpusError``.
    """
    if not groups:
        raise CorpusError("no measurement: nothing follows the first line", hint=FORMAT)
    residuals: list[float] = []
    for name, values in groups.items():
        n = len(values)
        if n < 2:
            continue
        mean = sum(v / n for v in values)
        if not mean or not math.isfinite(1 / mean):
            raise CorpusError(f"group {name[:40]!r} has mean {mean}: noise relative to it is not defined", hint=FORMAT)
        residuals += [(v - mean) / abs(mean) * math.sqrt(n / (n - 1)) for v in values]
    if not residuals:
        raise CorpusError(f"each of {len(groups)} groups has one value: noise needs repeats", hint=FORMAT)
    if not any(residuals):
        raise CorpusError("the values of each group are equal: there is no noise to draw from", hint=FORMAT)
    if not max(map(abs, residuals)) <= MAX_RESIDUAL:
        what = f"a value differs from its group's mean by more than {MAX_RESIDUAL:g} times that mean"
        raise CorpusError(what, hint="measurements whose mean is not about 0")
    return residuals


def _rows(reader: Iterable[list[str]]) -> Iterable[list[str]]:
    try:
        yield from reader
    except csv.Error as e:
        raise CorpusError(f"not CSV: {e}", hint=FORMAT) from e


def _value(text: str, line: int) -> float:
    try:
        value = float(text)
    except ValueError as e:
        raise CorpusError(f"line {line}: the value {text[:40]!r} is not a number", hint=FORMAT) from e
    if not math.isfinite(value):
        raise CorpusError(f"line {line}: the value {text.strip()} is not finite", hint="leave failed trials out")
    return value
