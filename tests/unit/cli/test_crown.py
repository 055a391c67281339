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
