"""Residuals of anyone's repeated measurements, the noise of a simulated night: rows of ``group,value`` as CSV."""

from __future__ import annotations

import math

from autoresearch.errors import CorpusError
from autoresearch.verdicts.csv_table import parse_number, read_rows

COLUMNS = ("group", "value")
MAX_ROWS = 1_000_000
MAX_RESIDUAL = 1e6
FORMAT = 'a first line "group,value", then one measurement a line, with the same group for repeats of the same thing'
LEAVE_OUT = "give finite numbers with a decimal point, and leave failed trials out"


def parse_repeats(text: str) -> dict[str, list[float]]:
    """Parse CSV with the columns ``group`` and ``value``. Raises ``CorpusError`` with the line."""
    groups: dict[str, list[float]] = {}
    for number, (line, (group, value)) in enumerate(read_rows(text, COLUMNS, FORMAT), 1):
        if number > MAX_ROWS:
            raise CorpusError(f"more than {MAX_ROWS:,} rows", hint="a sample of them")
        if not group:
            raise CorpusError(f"line {line} names no group", hint=FORMAT)
        groups.setdefault(group, []).append(parse_number(value, "value", line, LEAVE_OUT))
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
