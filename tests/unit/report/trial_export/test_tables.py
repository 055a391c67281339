"""CSV and Parquet, each read back by its library."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime

import pytest

from autoresearch.core.records import Evaluated, Meta, TrialEnded
from autoresearch.errors import AutoresearchError, JournalDamaged, MissingPackage
from autoresearch.report.trial_export import TrialTable, tables, write_csv, write_parquet


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_csv_reads_back_with_every_digit_and_empty_cells(everything, tmp_path):
    write_csv(TrialTable(everything), tmp_path / "t.csv")
    read, table = read_csv(tmp_path / "t.csv"), TrialTable(everything)
    rows = list(table)
    assert list(read[0]) == list(table.columns)
    assert len(read) == len(rows)
    parse = {"int": int, "float": float, "text": str, "time": str}
    for text, row in zip(read, rows, strict=True):
        assert {n: parse[kind](text[n]) if text[n] else None for n, kind in table.columns.items()} == dict(row)


@pytest.mark.parametrize("source", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", '=a,"b"\nc'])
def test_text_of_a_cell_cannot_be_a_formula(source, everything, tmp_path):
    records = [r.model_copy(update={"source": source}) if isinstance(r, Evaluated) else r for r in everything]
    write_csv(TrialTable(records), tmp_path / "t.csv")
    rows = read_csv(tmp_path / "t.csv")
    assert rows[1]["source"] == f"'{source}"
    assert rows[5]["source"] == "tpe"


def test_a_negative_number_is_not_text(everything, tmp_path):
    worse = [r.model_copy(update={"improvement_frac": -0.25}) if isinstance(r, Evaluated) else r for r in everything]
    write_csv(TrialTable(worse), tmp_path / "t.csv")
    assert read_csv(tmp_path / "t.csv")[1]["gain_frac"] == "-0.25"


@pytest.mark.parametrize("group", [2, 4096])
def test_parquet_reads_back_with_its_types_and_nulls(group, everything, tmp_path, monkeypatch):
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(tables, "GROUP_ROWS", group)
    write_parquet(TrialTable(everything), tmp_path / "t.parquet")
    read = pq.read_table(tmp_path / "t.parquet")
    types = {name: str(read.schema.field(name).type) for name in read.schema.names}
    wanted = {"iter": "int64", "val_bpb": "double", "label": "string", "ts": "timestamp[us, tz=UTC]"}
    wanted |= {"train_flops": "int64", "cfg.lr": "double", "cfg.n_layer": "int64", "cfg.precision": "string"}
    assert {name: types[name] for name in wanted} == wanted
    rows = [dict(row) for row in TrialTable(everything)]
    for row in rows:
        row["ts"] = datetime.fromisoformat(row["ts"])
    assert read.to_pylist() == rows
    assert rows[6]["ts"] == datetime(2026, 11, 20, 23, 30, tzinfo=UTC)


def test_parquet_of_a_run_without_trials_has_columns(everything, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    write_parquet(TrialTable(everything[:1]), tmp_path / "t.parquet")
    read = pq.read_table(tmp_path / "t.parquet")
    assert (read.num_rows, read.schema.names) == (0, list(TrialTable(everything[:1]).columns))


def test_what_a_column_of_parquet_cannot_hold_is_said(everything, tmp_path):
    pytest.importorskip("pyarrow")
    huge = [
        r.model_copy(update={"outcome": r.outcome.model_copy(update={"train_flops": 2**64})})
        if isinstance(r, TrialEnded) and r.trial == 2
        else r
        for r in everything
    ]
    with pytest.raises(AutoresearchError, match="does not fit into a column of Parquet"):
        write_parquet(TrialTable(huge), tmp_path / "t.parquet")
    write_csv(TrialTable(huge), tmp_path / "t.csv")
    assert read_csv(tmp_path / "t.csv")[1]["train_flops"] == str(2**64)


def test_a_time_that_is_none_is_named(everything, tmp_path):
    pytest.importorskip("pyarrow")
    records = [r if isinstance(r, Meta) else r.model_copy(update={"ts": "noon"}) for r in everything]
    with pytest.raises(JournalDamaged, match="ts = 'noon' is not a time"):
        write_parquet(TrialTable(records), tmp_path / "t.parquet")


def test_without_pyarrow_its_extra_is_named(everything, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackage, match=r"autoresearch\[parquet\]"):
        write_parquet(TrialTable(everything), tmp_path / "t.parquet")
