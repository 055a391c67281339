"""``autoresearch export csv``, ``parquet`` and ``optuna``."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from autoresearch.storage.run_dir import TRAJECTORY

KINDS = ("csv", "parquet", "optuna")


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_run_is_written_and_an_existing_file_replaced(kind, cli, finished, tmp_path):
    pytest.importorskip({"csv": "csv", "parquet": "pyarrow", "optuna": "optuna"}[kind])
    out = tmp_path / "out"
    code, said, err = cli("export", kind, str(finished), "--out", str(out))
    assert (code, err) == (0, "")
    assert said.startswith(f"{out}: {kind}, 4 trials, ")
    inode = out.stat().st_ino
    shown = json.loads(cli("export", kind, str(finished / TRAJECTORY), "--out", str(out), "--json")[1])
    assert (shown["format"], shown["out"], shown["trials"]) == (kind, str(out), 4)
    assert out.stat().st_ino != inode
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "run"]


def test_the_audit_reads_the_study(cli, finished, tmp_path):
    pytest.importorskip("optuna")
    out = tmp_path / "study.log"
    assert cli("export", "optuna", str(finished), "--out", str(out))[0] == 0
    shown = json.loads(cli("audit", str(out), "--noise", "0.003", "--json")[1])
    assert shown["logs"][0]["format"] == "optuna"


def test_a_live_run_whose_last_line_is_torn_has_the_trials_so_far(cli, finished, tmp_path):
    file = finished / TRAJECTORY
    file.write_bytes(file.read_bytes()[:-20])
    assert cli("export", "csv", str(finished), "--out", str(tmp_path / "t.csv"))[0] == 0
    with (tmp_path / "t.csv").open(newline="") as read:
        assert len(list(csv.DictReader(read))) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_no_export_wrote_is_not_replaced(kind, cli, finished, tmp_path):
    settings, empty = finished / "settings.json", tmp_path / "empty"
    settings.write_text("{}")
    code, _, err = cli("export", kind, str(finished), "--out", str(settings))
    assert (code, f"`export {kind}` did not write it" in err) == (78, True)
    assert settings.read_text() == "{}"
    empty.touch()
    assert cli("export", "csv", str(finished), "--out", str(empty))[0] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_run_leaves_the_old_file(kind, cli, finished, tmp_path):
    pytest.importorskip({"csv": "csv", "parquet": "pyarrow", "optuna": "optuna"}[kind])
    out, file = tmp_path / "out", finished / TRAJECTORY
    assert cli("export", kind, str(finished), "--out", str(out))[0] == 0
    old = out.read_bytes()
    lines = file.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b'"', b"'", 1)
    file.write_bytes(b"".join(lines))
    code, _, err = cli("export", kind, str(finished), "--out", str(out))
    assert code == 65
    assert "5" in err
    assert out.read_bytes() == old
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "run"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_run_itself_and_what_is_not_a_file_are_not_overwritten(kind, cli, finished, tmp_path):
    before = (finished / TRAJECTORY).read_bytes()
    for run in (finished, finished / TRAJECTORY):
        code, _, err = cli("export", kind, str(run), "--out", str(finished / TRAJECTORY))
        assert (code, "is the trajectory of the run itself" in err) == (78, True)
    code, _, err = cli("export", kind, str(finished), "--out", str(tmp_path))
    assert (code, "is not a regular file" in err) == (78, True)
    code, _, err = cli("export", kind, str(finished), "--out", str(tmp_path / "none" / "out"))
    assert (code, "No such file or directory" in err) == (1, True)
    assert (finished / TRAJECTORY).read_bytes() == before


def test_an_origins_log_and_a_missing_run_are_74(cli, tmp_path):
    origin = Path(__file__).parents[2] / "assets" / "origin_trajectory.jsonl"
    assert cli("export", "csv", str(origin), "--out", str(tmp_path / "t.csv"))[0] == 74
    assert cli("export", "csv", str(tmp_path / "none"), "--out", str(tmp_path / "t.csv"))[0] == 74
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_help(kind, cli, capsys):
    with pytest.raises(SystemExit) as end:
        cli("export", kind, "--help")
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: autoresearch export {kind}")


def test_a_journal_with_other_studies_is_not_replaced(cli, finished, tmp_path):
    optuna = pytest.importorskip("optuna")
    out = tmp_path / "study.log"
    assert cli("export", "optuna", str(finished), "--out", str(out))[0] == 0
    assert cli("export", "optuna", str(finished), "--out", str(out))[0] == 0  # its own study alone
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(out)))
    optuna.create_study(storage=storage, study_name="of the user")
    before = out.read_bytes()
    code, _, err = cli("export", "optuna", str(finished), "--out", str(out))
    assert (code, out.read_bytes()) == (78, before)
    assert "of the user" in err


@pytest.mark.parametrize("made", ["text", "database"])
def test_no_file_of_another_program_becomes_a_database_of_mlflow(made, cli, finished, tmp_path):
    out = tmp_path / "out"
    out.write_text("old" * 1000)
    if made == "database":
        out.unlink()
        with closing(sqlite3.connect(out)) as database:
            database.execute("CREATE TABLE mine (x)")
    before = out.read_bytes()
    code, _, err = cli("export", "mlflow", str(finished), "--out", str(out))
    assert (code, out.read_bytes()) == (78, before)
    assert "name a new file" in err
