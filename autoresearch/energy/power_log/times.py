"""Cells that hold times. One file has one kind of time; the unit of a bare number follows from its size."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from autoresearch.energy.power_log.column_names import TIME_UNITS, ColumnName
from autoresearch.energy.power_log.numbers import decimal_mark, parse_quantity
from autoresearch.energy.power_log.refusal import refusal, show

EPOCH_FIRST_S, EPOCH_LAST_S = 946_684_800.0, 4_102_444_800.0  # the years 2000 to 2100
MAX_STEP_S, MIN_STEP_S = 300.0, 1e-3  # of seconds since a start, where no name has their unit
MAX_SPAN_S = 366 * 86_400.0
DAY_S = 86_400.0
CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d):([0-5]\d(?:[.,]\d+)?)")
COMPACT_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)(?=\s)")
DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?=\s|$)")
YEAR_LAST = re.compile(r"\d{1,2}/\d{1,2}/\d{4}")
UNIT_HINT = "name the column by its unit: time_s, time_ms, time_us or time_ns"
ISO_HINT = "write every time as 2026-11-21T22:00:00, all of them with a zone or all without"


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each row, ``None`` where it has no time, and what they were taken for."""

    seconds: list[float | None]
    format: str  # for example "epoch in ns"


def looks_like_time(cell: str) -> bool:
    """Whether the cell is a time, as the first one of a file without a header is."""
    return _instant(cell) is not None or parse_quantity(cell) is not None or CLOCK.fullmatch(cell.strip()) is not None


def read_times(name: str, column: ColumnName | None, cells: Sequence[tuple[int, str]]) -> Times:
    """The times of all rows; ``cells`` are line numbers and texts. Raises where the file mixes kinds of time."""
    readers: tuple[Callable[[], Times | None], ...] = (
        lambda: _dates(name, cells),
        lambda: _clock_times(cells),
        lambda: _numbers(name, column, cells),
    )
    found: list[Times] = []
    for read in readers:
        if (times := read()) is not None:
            found.append(times)
            if None not in times.seconds:
                break
    times = max(found, key=lambda t: sum(s is not None for s in t.seconds), default=Times([None] * len(cells), ""))
    known = [(s, cell) for s, cell in zip(times.seconds, cells, strict=True) if s is not None]
    if not known:
        if slashed := next((c for c in cells if YEAR_LAST.match(c[1].strip())), None):
            problem = f"day and month of {show(slashed[1])} could be exchanged"
            raise refusal(name, problem, ISO_HINT, line=slashed[0])
        raise refusal(name, f"no line with a valid time{f': {show(cells[0][1])}' if cells else ''}", ISO_HINT)
    _refuse_span(name, known)
    return times


def _refuse_span(name: str, known: Sequence[tuple[float, tuple[int, str]]]) -> None:
    (first, a), (last, b) = min(known), max(known)
    if last - first > MAX_SPAN_S:
        problem = f"{show(b[1])} is {(last - first) / DAY_S:,.0f} days after line {a[0]}: {show(a[1])}"
        raise refusal(name, problem, "correct the times, or integrate the parts of the file one by one", line=b[0])


def _dates(name: str, cells: Sequence[tuple[int, str]]) -> Times | None:
    instants = [_instant(cell) for _, cell in cells]
    zoned = {when.tzinfo is not None: n for n, when in enumerate(instants) if when is not None}
    if not zoned:
        return None
    if len(zoned) == 2:
        a, b = (cells[n] for n in sorted(zoned.values()))
        raise refusal(name, f"of {show(b[1])} and line {a[0]}, {show(a[1])}, one has a zone", ISO_HINT, line=b[0])
    return Times([None if t is None else (t if t.tzinfo else t.replace(tzinfo=UTC)).timestamp() for t in instants],
                 "dates")  # fmt: skip


def _instant(cell: str) -> datetime | None:
    text = DAY_FIRST.sub(r"\3-\2-\1", COMPACT_DATE.sub(r"\1-\2-\3", cell.strip()))
    text = re.sub(r"-(\d)(?=[-\s])", r"-0\1", text).replace("/", "-").removesuffix(" UTC")
    if "-" not in text[:5]:  # a bare number is not a date
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _clock_times(cells: Sequence[tuple[int, str]]) -> Times | None:
    """Times of day without a date: a step back by more than half a day is midnight."""
    seconds: list[float | None] = []
    days, last = 0, 0.0
    for _, cell in cells:
        if match := CLOCK.fullmatch(cell.strip()):
            t = 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3].replace(",", "."))
            days += last - t > DAY_S / 2
            last = t
            seconds.append(days * DAY_S + t)
        else:
            seconds.append(None)
    return Times(seconds, "times of day") if any(s is not None for s in seconds) else None


def _numbers(name: str, column: ColumnName | None, cells: Sequence[tuple[int, str]]) -> Times | None:
    mark = decimal_mark(name, cells) if any("," in cell for _, cell in cells) else "."
    read = [parse_quantity(cell, mark) for _, cell in cells]
    numbers = [q.value if q and 0 <= q.value < math.inf and q.unit.lower() in ("", "s") else None for q in read]
    if all(n is None for n in numbers):
        return None
    named = TIME_UNITS.get(column.unit.lower()) if column else None
    named_epoch = named and any(n is not None and n * named >= EPOCH_FIRST_S for n in numbers)
    units = {_epoch_unit(n) for n in numbers if n is not None} if named is None else {""}
    if len(units) > 1:
        at = {_epoch_unit(n): cell for n, cell in zip(numbers, cells, strict=True) if n is not None}
        (line, a), (other, b) = sorted(at.values())[-2:]
        raise refusal(name, f"{show(b)} and line {line}, {show(a)}, do not count in one unit", UNIT_HINT, line=other)
    unit = units.pop()
    if unit is None:
        line, cell = next(c for n, c in zip(numbers, cells, strict=True) if n is not None)
        raise refusal(name, f"the unit of the time {show(cell)} is not clear", UNIT_HINT, line=line)
    factor = named or TIME_UNITS[unit or "s"]
    seconds = [None if n is None else n * factor for n in numbers]
    if named is None and not unit:
        _refuse_step(name, seconds, cells)
    word = column.unit if column and named else unit or "s"
    return Times(seconds, f"{'epoch' if unit or named_epoch else 'time since a start'} in {word}")


def _epoch_unit(number: float) -> str | None:
    """Of a time since 1970, by its size; empty for seconds since some start, ``None`` for neither."""
    if number < EPOCH_FIRST_S:
        return ""
    return next((u for u in ("s", "ms", "us", "ns") if EPOCH_FIRST_S <= number * TIME_UNITS[u] < EPOCH_LAST_S), None)


def _refuse_step(name: str, seconds: Sequence[float | None], cells: Sequence[tuple[int, str]]) -> None:
    """Raise where seconds since a start are so far apart, or so close, that they hardly are seconds."""
    known = sorted({s for s in seconds if s is not None})
    steps = [b - a for a, b in itertools.pairwise(known)]
    if steps and not MIN_STEP_S <= median(steps) <= MAX_STEP_S:
        problem = f"the times are {median(steps):g} apart, which does not look like seconds: {show(cells[-1][1])}"
        raise refusal(name, problem, UNIT_HINT, line=cells[-1][0])
