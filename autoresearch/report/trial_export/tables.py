"""The rows of a run as CSV or as Parquet, each written by its library, some rows at a time."""

from __future__ import annotations

import csv
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from autoresearch.errors import AutoresearchError, missing_extra
from autoresearch.report.trial_export.knob_columns import Kind
from autoresearch.report.trial_export.rows import Cell, TrialRow, TrialTable
from autoresearch.report.trial_export.times import parse_ts

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
GROUP_ROWS = 4096  # of a row group of Parquet: what is held in memory at a time


def write_csv(table: TrialTable, path: Path) -> None:
    """UTF-8 with a header; a missing value is an empty cell; floats have every digit.

    A spreadsheet executes a cell that begins like a formula, and a proposer's text is untrusted: such text begins with
    a single quote here. A number is written as it is. Raises ``OSError``.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([_harmless(name) for name in table.columns])
        for row in table:
            writer.writerow([_csv_cell(row[name]) for name in table.columns])


def _csv_cell(cell: Cell) -> str | int | float:
    return "" if cell is None else _harmless(cell) if isinstance(cell, str) else cell


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def write_parquet(table: TrialTable, path: Path) -> None:
    """Columns of int64, double, string and UTC timestamps; a missing value is null. Raises ``OSError``.

    ``MissingPackage`` without pyarrow.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as e:
        raise missing_extra("export parquet", "pyarrow", "parquet", instead="autoresearch export csv") from e
    types = {"int": pa.int64(), "float": pa.float64(), "text": pa.string(), "time": pa.timestamp("us", tz="UTC")}
    schema = pa.schema([(name, types[kind]) for name, kind in table.columns.items()])
    try:
        with pq.ParquetWriter(path, schema) as writer:
            every = iter(table)
            while rows := tuple(islice(every, GROUP_ROWS)):
                columns = [_column(rows, name, kind) for name, kind in table.columns.items()]
                arrays = [pa.array(cells, f.type) for cells, f in zip(columns, schema, strict=True)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    except (pa.ArrowInvalid, OverflowError) as e:
        hint = "`autoresearch export csv` has no limit for whole numbers"
        raise AutoresearchError(f"a number of the run does not fit into a column of Parquet: {e}", hint=hint) from e


def _column(rows: tuple[TrialRow, ...], name: str, kind: Kind) -> list[Any]:
    return [_time(row[name]) for row in rows] if kind == "time" else [row[name] for row in rows]


def _time(cell: Cell) -> datetime | None:
    return None if cell is None else parse_ts(str(cell))
