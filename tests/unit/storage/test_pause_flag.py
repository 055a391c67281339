"""pause.flag of a run directory: creating it, removing it, in every shape that it can have."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoresearch.daemon.control import RunControl
from autoresearch.errors import AutoresearchError
from autoresearch.storage.pause_flag import pause, resume
from autoresearch.storage.run_dir import PAUSE_FLAG
from tests.flag_shapes import SHAPES


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    return tmp_path / PAUSE_FLAG


def test_pause_and_resume_can_be_said_twice(tmp_path):
    assert pause(tmp_path) is True
    assert pause(tmp_path) is False
    assert RunControl(tmp_path / PAUSE_FLAG).pause_reason()
    assert resume(tmp_path) is True
    assert resume(tmp_path) is False
    assert RunControl(tmp_path / PAUSE_FLAG).pause_reason() == ""


def test_pause_now_makes_a_pause_that_waits_one_that_does_not(tmp_path):
    control = RunControl(tmp_path / PAUSE_FLAG)
    assert pause(tmp_path) is True
    assert not control.suspend_requested()
    assert pause(tmp_path, now=True) is True
    assert control.suspend_requested()
    assert pause(tmp_path, now=True) is False
    assert pause(tmp_path) is False
    assert resume(tmp_path) is True
    assert not control.suspend_requested()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", SHAPES)
def test_resume_takes_away_a_flag_of_any_shape_and_nothing_else(tmp_path, shape):
    (tmp_path / "trajectory.jsonl").touch()
    SHAPES[shape](tmp_path / PAUSE_FLAG)
    assert pause(tmp_path) is False
    assert resume(tmp_path) is True
    assert [p.name for p in tmp_path.iterdir()] == ["trajectory.jsonl"]


def test_a_flag_that_holds_something_is_left_for_a_person_to_remove(flag):
    flag.mkdir()
    (flag / "notes").touch()
    with pytest.raises(AutoresearchError, match="cannot remove") as refused:
        resume(flag.parent)
    assert f"ls -lA {flag} shows them, rm -r {flag} removes it with them" in refused.value.hint
    assert (flag / "notes").exists()


def test_there_is_no_pausing_where_there_is_no_directory(tmp_path):
    with pytest.raises(AutoresearchError, match="cannot create") as refused:
        pause(tmp_path / "nowhere")
    assert refused.value.hint
