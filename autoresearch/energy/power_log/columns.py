"""Which columns are read. A choice that the names do not settle is refused, not guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoresearch.energy.power_log.column_names import DEVICE_NAMES, GPU_NAMES, POWER_NAMES, TIME_NAMES, ColumnName
from autoresearch.energy.power_log.numbers import is_unknown, parse_quantity, watts_per_unit
from autoresearch.energy.power_log.refusal import HINT, refusal, show
from autoresearch.energy.power_log.table import Row, Table
from autoresearch.energy.power_log.times import CLOCK

HEADER_HINT = "put the names of the columns in its first line, for example: timestamp, power.limit [W], power.draw [W]"
CHOICE_HINT = "name the column of the draw power_w, or remove the others"
MAX_DEVICES_FRAC = 0.5  # of the rows: with more, the column numbers the rows


@dataclass(frozen=True, slots=True)
class Columns:
    """Positions. ``date`` is read before ``time_at`` where a date and a time of day have a column each."""

    time_at: int
    power: int
    date: int | None = None
    time: ColumnName | None = None
    power_text: str = ""
    watts_per_unit: float | None = None
    device: int | None = None
    scope_at: int | None = None
    scope: str | None = None
    others: tuple[str, ...] = ()

    def time_cell(self, row: Row) -> str:
        time = row.cells[self.time_at]
        return time if self.date is None else f"{row.cells[self.date].strip()} {time.strip()}"

    @property
    def where(self) -> str:
        return f"column {show(self.power_text)}" if self.power_text else f"cell {self.power + 1}"


def choose_columns(table: Table) -> Columns:
    """Raises ``AutoresearchError`` where the times or the watts could be in several columns, or in none."""
    if not table.columns:
        return _without_header(table)
    power, others = _choose_power(table)
    time_at, date = _choose_time(table)
    column = table.columns[power]
    names = [c.full for c in table.columns]
    return Columns(
        time_at=time_at,
        power=power,
        date=date,
        time=table.columns[time_at],
        power_text=column.text,
        watts_per_unit=column.watts_per_unit,
        device=_choose_device(table),
        scope_at=names.index("scope") if "scope" in names else None,
        scope="gpu" if column.full.startswith(GPU_NAMES) else None,
        others=others,
    )


def _choose_power(table: Table) -> tuple[int, tuple[str, ...]]:
    """The first known name that has values; else the only column with a unit of power that has values."""
    columns = table.columns
    draws = [n for n, c in enumerate(columns) if c.is_draw]
    counts = {n: _count_numbers(table.rows, n) for n in draws}
    filled = _well_filled(draws, counts)
    known = [n for n in filled if columns[n].is_one_of(POWER_NAMES) is not None]
    chosen = min(known or filled, key=lambda n: _order(columns[n], POWER_NAMES))
    rivals = [n for n in (known or filled) if n != chosen and (columns[n].full == columns[chosen].full or not known)]
    rivals = [n for n in rivals if _cells(table.rows, n) != _cells(table.rows, chosen)]
    if rivals:
        texts = " or ".join(show(columns[n].text) for n in sorted([chosen, *rivals]))
        raise refusal(table.name, f"the power could be in the column {texts}", CHOICE_HINT)
    if columns[chosen].unit.startswith("M"):
        problem = f"the unit of the column {show(columns[chosen].text)} may be mega or milli"
        raise refusal(table.name, problem, "name it power_mw for milliwatts, or give watts")
    return chosen, tuple(c.text for n, c in enumerate(columns) if n != chosen and (n in draws or c.may_be_power))


def _well_filled(columns: Sequence[int], counts: Mapping[int, int]) -> list[int]:
    """Those with at least half as many values as the fullest: an empty column does not hide a full one."""
    most = max(counts.values(), default=0)
    return [n for n in columns if 2 * counts[n] >= most]


def _order(column: ColumnName, names: tuple[str, ...]) -> int:
    position = column.is_one_of(names)
    return len(names) if position is None else position


def _choose_time(table: Table) -> tuple[int, int | None]:
    """Positions of the times and, where these are times of day, of their dates."""
    columns = table.columns
    times = sorted((n for n, c in enumerate(columns) if c.is_time), key=lambda n: _order(columns[n], TIME_NAMES))
    filled = {n: sum(not is_unknown(row.cells[n]) for row in table.rows) for n in times}
    dates = [n for n in times if columns[n].name == "date"]
    chosen = _well_filled(times, filled)[0]
    clocks = [n for n in times if any(CLOCK.fullmatch(row.cells[n].strip()) for row in table.rows[:10])]
    if clocks and chosen in (*clocks, *dates):
        date = next((n for n in dates if n not in clocks and filled[n]), None)
        return clocks[0], date
    return chosen, None


def _choose_device(table: Table) -> int | None:
    """The column that tells devices apart; a column that numbers the rows does not."""
    names = [c.full for c in table.columns]
    for device in (names.index(n) for n in DEVICE_NAMES if n in names):
        cells = {row.cells[device].strip() for row in table.rows if not is_unknown(row.cells[device])}
        if cells and (len(cells) <= max(1, MAX_DEVICES_FRAC * len(table.rows)) or len(table.rows) < 10):
            return device
    return None


def _without_header(table: Table) -> Columns:
    """Of a file of ``nvidia-smi --format=csv,noheader``: the watts are the only column of cells that end in W."""
    width = max((len(row.cells) for row in table.rows), default=0)
    watts = [n for n in range(width) if any(_ends_in_watts(row.cells[n]) for row in table.rows)]
    if not watts:
        problem = "the file has no header, and no column of numbers that end in W"
        raise refusal(table.name, problem, HINT)
    if len(watts) > 1:
        row = table.rows[0]
        cells = " or ".join(show(row.cells[n]) for n in watts)
        problem = f"the file has no header, and the power that was drawn could be {cells}"
        raise refusal(table.name, problem, HEADER_HINT, line=row.line)
    has_date = width > 2 and any(CLOCK.fullmatch(row.cells[1].strip()) for row in table.rows[:10])
    return Columns(time_at=1 if has_date else 0, date=0 if has_date else None, power=watts[0], scope="gpu")


def _ends_in_watts(cell: str) -> bool:
    quantity = parse_quantity(cell, "," if "," in cell else ".")
    return quantity is not None and watts_per_unit(quantity.unit) is not None and bool(quantity.unit)


def _count_numbers(rows: Sequence[Row], column: int) -> int:
    return sum(not is_unknown(row.cells[column]) and row.cells[column].strip()[:1].isdecimal() for row in rows)


def _cells(rows: Sequence[Row], column: int) -> list[str]:
    return [row.cells[column].strip() for row in rows]
