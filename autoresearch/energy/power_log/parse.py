"""The samples of each device in a file, and the account of its cells: which were used, and why others were not."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TextIO

from autoresearch.energy.power_log.columns import Columns, choose_columns
from autoresearch.energy.power_log.numbers import (
    decimal_mark,
    decimal_mark_elsewhere,
    grouped_or_decimal,
    is_other_quantity,
    is_plausible,
    is_unknown,
    parse_quantity,
    watts_per_unit,
)
from autoresearch.energy.power_log.refusal import refusal, show
from autoresearch.energy.power_log.table import Row, Table, read_table
from autoresearch.energy.power_log.times import read_times
from autoresearch.energy.sample import MAX_W, Sample

SCOPES = ("gpu", "package", "system")
HUNDREDS = re.compile(r"\d{3}(?![\d.,])")
POINT_HINT = "write the numbers without thousands separators, and with one or two decimals or a decimal comma"
UNIT_HINT = "give watts, or name the unit of the column: power_w, power_mw, power_kw"


@dataclass(slots=True)
class PowerCsv:
    """The samples of each device, in the file's order; ``name`` is the file's, for messages."""

    name: str = ""
    devices: dict[str, list[Sample]] = field(default_factory=dict)
    rows: int = 0
    skipped: int = 0  # rows without a time, or cut off
    unknown: int = 0  # cells that state that there is no value, for example [N/A]
    unreadable: list[str] = field(default_factory=list)  # cells that are neither a number nor that, with their lines
    scope: str | None = None
    power_column: str = ""
    others: tuple[str, ...] = ()  # columns of watts that were not used
    time_format: str = ""


def parse_power_csv(lines: TextIO | Iterable[str], name: str) -> PowerCsv:
    """The samples of a CSV. Raises ``AutoresearchError`` with the line and the cell that cannot be trusted."""
    table = read_table(lines, name)
    columns = choose_columns(table)
    times = read_times(name, columns.time, [(row.line, columns.time_cell(row)) for row in table.rows])
    power_csv = PowerCsv(
        name,
        rows=len(table.rows) + len(table.short),
        skipped=len(table.short) + sum(t is None for t in times.seconds),
        scope=columns.scope,
        power_column=columns.power_text,
        others=columns.others,
        time_format=times.format,
    )
    mark = _decimal_mark(table, columns)
    for row, t in zip(table.rows, times.seconds, strict=True):
        watts = _watts(power_csv, table, columns, row, mark)
        if t is not None:
            _add_sample(power_csv, columns, row, Sample(t, power_w=watts))
    _put_in_order(power_csv.devices)
    _refuse_nothing(table, columns, power_csv)
    return power_csv


def _decimal_mark(table: Table, columns: Columns) -> str:
    """Raises where ``1.234`` may be 1,234 W: where columns are separated by ``;``, or beside numbers like ``950``.

    Another column may show the decimal mark, and more than ``MAX_W`` that the point does not group digits.
    """
    cells = [(row.line, row.cells[columns.power].strip()) for row in table.rows]
    mark = decimal_mark(table.name, cells)
    if (unclear := grouped_or_decimal(cells)) is None:
        return mark
    numbers = [q for _, cell in cells if (q := parse_quantity(cell, ","))]  # with the point between groups of digits
    if table.separator != ";" and not any(HUNDREDS.match(cell) for _, cell in cells):
        return mark
    others = (cell for row in table.rows for n, cell in enumerate(row.cells) if n != columns.power)
    if elsewhere := decimal_mark_elsewhere(others):
        return elsewhere
    unit = columns.watts_per_unit or 1.0
    if any(q.value * (watts_per_unit(q.unit) or unit) > MAX_W for q in numbers):
        return mark
    line, cell = unclear
    problem = f"{show(cell)} in {columns.where} may be two numbers, with a point before decimals or between thousands"
    raise refusal(table.name, problem, POINT_HINT, line=line)


def _watts(power_csv: PowerCsv, table: Table, columns: Columns, row: Row, mark: str) -> float | None:
    """The watts of a row; ``None`` where they are unknown or unreadable, which is counted."""
    cell = row.cells[columns.power]
    if is_unknown(cell):
        power_csv.unknown += 1
        return None
    quantity = parse_quantity(cell, mark)
    if quantity is None or (
        quantity.unit and watts_per_unit(quantity.unit) is None and not is_other_quantity(quantity.unit)
    ):
        power_csv.unreadable.append(f"line {row.line}: {show(cell)}")
        return None
    own = watts_per_unit(quantity.unit) if quantity.unit else None
    if quantity.unit and (own is None or columns.watts_per_unit not in (None, own)):
        unit = f", and the column is {show(columns.power_text)}" if own else ""
        raise refusal(table.name, f"the unit of {show(cell)} is not clear{unit}", UNIT_HINT, line=row.line)
    watts = quantity.value * (own or columns.watts_per_unit or 1.0)
    if not is_plausible(watts, MAX_W):
        problem = f"{show(cell)} in {columns.where} is {watts:g} W, not a power from 0 to {MAX_W:g} W"
        raise refusal(table.name, problem, UNIT_HINT, line=row.line)
    return watts


def _add_sample(power_csv: PowerCsv, columns: Columns, row: Row, sample: Sample) -> None:
    device = row.cells[columns.device].strip() if columns.device is not None else ""
    if columns.device is not None and is_unknown(device):
        if sample.power_w is not None:
            power_csv.unreadable.append(f"line {row.line}: no device")
        return
    if columns.scope_at is not None and (scope := row.cells[columns.scope_at].strip()):
        power_csv.scope = scope if scope in SCOPES and power_csv.scope in (None, scope) else "mixed"
    power_csv.devices.setdefault(device, []).append(sample)


def _put_in_order(devices: dict[str, list[Sample]]) -> None:
    """Reverse a file that was written newest first."""
    for samples in devices.values():
        if len(samples) > 1 and all(b.t <= a.t for a, b in itertools.pairwise(samples)):
            samples.reverse()


def _refuse_nothing(table: Table, columns: Columns, power_csv: PowerCsv) -> None:
    """Raise where every power is zero, or where there are cells and none of them can be read."""
    watts = Counter(s.watts for samples in power_csv.devices.values() for s in samples if s.watts is not None)
    if not watts and power_csv.unreadable:
        raise refusal(table.name, f"no power in {columns.where} can be read; {power_csv.unreadable[0]}", UNIT_HINT)
    if set(watts) == {0.0} and watts[0.0] > 1:
        row = next(row for row in table.rows if not is_unknown(row.cells[columns.power]))
        problem = f"every power in {columns.where} is zero, from {show(row.cells[columns.power])} on"
        raise refusal(table.name, problem, "does the sensor measure anything?", line=row.line)
