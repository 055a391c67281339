"""A table of measured configurations, from JSON or CSV: what a surrogate is fitted to.

JSON: a list of ``{"cfg": {...}, "value": number or null for a crash, "flops": number}``; ``flops`` is optional. CSV: a
column for each knob, ``value`` (empty for a crash) and, if known, ``flops``. A configuration may occur several times.
The file of ``autoresearch bench table`` is read too; it has its menu in it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoresearch.benches.proposers.table_file import TableFile, parse_table
from autoresearch.benches.search.table_menu import TableMenu
from autoresearch.core.values import Cfg
from autoresearch.errors import ConfigError, CorpusError
from rails import ChoiceKnob, FloatKnob, IntKnob, Menu, is_finite, parse_menu
from rails.knobs import Knob, show

MAX_BYTES = 256 << 20
MIN_MEASURED = 20
MEASURED = '"autoresearch-table"'  # near the beginning of a file of `bench table`
HEAD_CHARS = 1000
FORMAT = '[{"cfg": {"lr": 0.001, ...}, "value": 0.99}, {"cfg": {...}, "value": null}]'


@dataclass(frozen=True, slots=True)
class TableRow:
    """One measurement; ``value`` is null for a crash."""

    cfg: Cfg
    value: float | None
    flops: float | None = None
    curve: tuple[float, ...] | None = None  # of the training loss, one per 32nd of the budget
    seed: int = 0
    trial_s: float | None = None  # of the whole trial, for `bench fleet`


@dataclass(frozen=True, slots=True)
class Table:
    """``outside`` counts rows that were left out because a value is off the menu."""

    menu: Menu
    rows: tuple[TableRow, ...]
    outside: int = 0

    @property
    def crashes(self) -> int:
        return sum(row.value is None for row in self.rows)

    @property
    def default_only_crashed(self) -> bool:
        """Whether the table has the default, and no value of it."""
        values = [row.value for row in self.rows if row.cfg == self.menu.defaults]
        return bool(values) and all(value is None for value in values)


def read_table(path: Path, menu: TableMenu | None) -> Table:
    """Raises ``CorpusError`` naming file, row and value, and ``ConfigError`` where the menu is in no file or in two."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as e:
        raise CorpusError(f"cannot read {path}: {e.strerror}", hint=f"--table takes a file: {FORMAT}") from e
    if len(raw) > MAX_BYTES:
        raise CorpusError(f"{path}: larger than {MAX_BYTES >> 20} MiB", hint="a sample of the measurements")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise CorpusError(f"{path}: byte {e.start} is not UTF-8", hint=f"JSON or CSV: {FORMAT}") from e
    if text.lstrip()[:1] == "{" and MEASURED in text[:HEAD_CHARS]:
        if menu is not None:
            raise ConfigError(f"{path} has its own menu", hint="leave --menu out, or give a JSON list or CSV")
        return _of_measured(parse_table(text, str(path)), path)
    if menu is None:
        raise ConfigError(f"{path} has no menu", hint="--menu FILE: the knobs of the table and their defaults")
    try:
        entries = _csv_entries(text, menu) if path.suffix.lower() == ".csv" else _json_entries(text)
        table = _build(entries, menu)
    except _BadTable as e:
        raise CorpusError(f"{path}: {e}", hint=f"a list such as {FORMAT}") from e
    return table


def _of_measured(file: TableFile, path: Path) -> Table:
    """The table of ``bench table``; the defaults of its menu are the baseline."""
    source = {**file.menu, "knobs": {n: {**k, "default": file.baseline_cfg[n]} for n, k in file.menu["knobs"].items()}}
    menu = parse_menu(source)
    rows = tuple(
        TableRow(
            cfg={name: row.cfg[name] for name in menu.knobs},
            value=row.val_bpb,
            flops=None if row.flops is None else float(row.flops),
            curve=row.curve,
            seed=row.seed,
            trial_s=row.trial_wall_s,
        )
        for row in file.rows
    )
    measured = sum(row.value is not None for row in rows)
    if measured < MIN_MEASURED:
        raise CorpusError(f"{path}: {measured} measured rows, fewer than {MIN_MEASURED}", hint="bench table --joint N")
    return Table(menu, rows)


class _BadTable(Exception):
    """The message names the row."""


def _json_entries(text: str) -> list[Any]:
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise _BadTable(f"not JSON: {e}") from e
    if not isinstance(listed, list):
        raise _BadTable(f"a list is expected, not {show(listed)}")
    return listed


def _csv_entries(text: str, menu: TableMenu) -> list[Any]:
    reader = csv.DictReader(text.splitlines(), strict=True)
    entries: list[Any] = []
    try:
        for row in reader:
            if None in row or None in row.values():
                raise _BadTable(f"line {reader.line_num}: another number of fields than in the first line")
            value, flops = row.pop("value", None), row.pop("flops", None)
            if value is None:
                raise _BadTable("there is no column 'value'")
            cfg = {
                name: _csv_value(menu.menu.knobs.get(menu.names.get(name, "")), field) for name, field in row.items()
            }
            entry = {"cfg": cfg, "value": _csv_number(value)}
            entries.append(entry | ({"flops": _csv_number(flops)} if flops else {}))
    except csv.Error as e:
        raise _BadTable(f"line {reader.line_num}: {e}") from e
    return entries


def _csv_value(knob: Knob | None, field: str) -> Any:
    is_word = knob is None or (isinstance(knob, ChoiceKnob) and isinstance(knob.choices[0], str))
    return field if is_word else _csv_number(field)


def _csv_number(field: str) -> Any:
    """A number; ``None`` for an empty field; the text itself where it is neither."""
    if not field.strip():
        return None
    for kind in (int, float):
        try:
            return kind(field)
        except ValueError:
            continue
    return field


def _build(entries: Iterable[Any], given: TableMenu) -> Table:
    menu = given.menu
    rows: list[TableRow] = []
    outside = 0
    fixed: dict[str, Any] = {}
    for number, entry in enumerate(entries, 1):
        where = f"row {number}"
        if not isinstance(entry, Mapping) or not isinstance(entry.get("cfg"), Mapping) or "value" not in entry:
            raise _BadTable(f"{where}: an object with cfg and value is expected, not {show(entry)}")
        if absent := [name for name in given.names if name not in entry["cfg"]]:
            raise _BadTable(f"{where}: cfg has no {absent[0] if absent[0] in menu.knobs else show(absent[0])}")
        cfg = _read_cfg(given.read(entry["cfg"]), menu, where, fixed)
        value = _number(entry["value"], f"{where}: value")
        flops = _number(entry.get("flops"), f"{where}: flops")
        if flops is not None and flops <= 0:
            raise _BadTable(f"{where}: flops = {show(flops)} is not above 0")
        if cfg is None:
            outside += 1
        else:
            rows.append(TableRow(cfg, value, flops))
    if sum(row.value is not None for row in rows) < MIN_MEASURED:
        left_out = f"; {outside} rows are off the menu" if outside else ""
        raise _BadTable(f"fewer than {MIN_MEASURED} measured configurations{left_out}")
    return Table(menu, tuple(rows), outside)


def _read_cfg(given: Mapping[str, Any], menu: Menu, where: str, fixed: dict[str, Any]) -> Cfg | None:
    """The values of the menu's knobs, or ``None`` where one is out of its range. Other fields must never vary."""
    cfg: dict[str, int | float | str] = {}
    is_outside = False
    for name, knob in menu.knobs.items():
        value = _typed(knob, given[name])
        accepted, why = knob.accept(value)
        if accepted is None and not _is_of_type(knob, value):
            raise _BadTable(f"{where}: {why}")
        is_outside = is_outside or accepted is None
        cfg[name] = value if accepted is None else accepted
    for name, value in given.items():
        if name not in menu.knobs and fixed.setdefault(name, value) != value:
            raise _BadTable(f"{where}: {show(name)} is not a knob of the menu, and its value varies")
    return None if is_outside else cfg


def _typed(knob: Knob, value: Any) -> Any:
    """A whole number written as a float is a whole number."""
    if isinstance(value, float) and value.is_integer() and not isinstance(knob, FloatKnob):
        return int(value)
    return value


def _is_of_type(knob: Knob, value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(knob, IntKnob | FloatKnob):
        return isinstance(value, int | float) and is_finite(value)
    return type(value) is type(knob.choices[0])


def _number(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not is_finite(value):
        raise _BadTable(f"{where} = {show(value)} is not a finite number or null")
    return float(value)
