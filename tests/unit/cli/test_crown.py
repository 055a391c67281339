"""``autoresearch crown``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autoresearch.cli import main

NIGHT = Path(__file__).parents[3] / "evidence/2026-11-27-climb/one/trajectory.jsonl"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    shutil.copy(NIGHT, tmp_path)
    return tmp_path


def test_out_is_not_a_file_of_the_run(run: Path) -> None:
    log = run / "trajectory.jsonl"
    before = log.read_bytes()
    assert main(["crown", str(run), "--out", str(log)]) != 0
    assert log.read_bytes() == before


def test_it_writes_the_winner_where_it_is_told_to(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.toml"
    assert main(["crown", str(run), "--out", str(out)]) == 0
    assert "beta1 = 0.851" in out.read_text()


def test_out_replaces_its_own_file_and_no_other(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.toml"
    out.write_text("proposer = 'tpe'\n")
    assert main(["crown", str(run), "--out", str(out)]) == 78
    assert out.read_text() == "proposer = 'tpe'\n"
    assert "is not a best_config.toml" in capsys.readouterr().err
    out.unlink()
    assert [main(["crown", str(run), "--out", str(out)]) for _ in range(2)] == [0, 0]
