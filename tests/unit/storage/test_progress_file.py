"""progress.json: there while a trial runs, whole, rarely written, and never trusted beyond what it is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from autoresearch.core.ports import Progress
from autoresearch.core.records import Resumed, TrialStarted
from autoresearch.storage.progress_file import MAX_BYTES, ProgressFile, ProgressSnapshot, read_progress
from autoresearch.storage.run_dir import PROGRESS

TS = "2026-11-21T22:00:00Z"
BEGUN = TrialStarted(ts=TS, trial=1, iter=3, seed=0, cfg={}, boot_id="b")
OTHER = Resumed(ts=TS, paused_s=1.0)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path, clock: Clock) -> ProgressFile:
    return ProgressFile(tmp_path, clock)


def at(fraction: float, n: int = 3) -> Progress:
    return Progress(n, "train", fraction, 10, 12345.6)


def test_what_is_written_can_be_read(file, tmp_path):
    file.progressed(at(0.25))
    assert read_progress(tmp_path) == ProgressSnapshot(os.getpid(), 3, "train", 0.25, 12345.6)
    assert [p.name for p in tmp_path.iterdir()] == [PROGRESS]


def test_it_is_written_once_a_second(file, tmp_path, clock):
    file.progressed(at(0.1))
    clock.now += 0.9
    file.progressed(at(0.2))
    assert read_progress(tmp_path).fraction == 0.1
    clock.now += 0.2
    file.progressed(at(0.3))
    assert read_progress(tmp_path).fraction == 0.3


def test_it_is_never_synced(file, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _fd: pytest.fail("synced"))
    file.progressed(at(0.1))


def test_it_goes_with_its_trial_and_a_new_trial_is_shown_at_once(file, tmp_path):
    file.progressed(at(0.9))
    file.recorded(OTHER)
    assert read_progress(tmp_path) is None
    file.recorded(BEGUN)
    file.progressed(at(0.0))
    assert read_progress(tmp_path).fraction == 0.0


def test_preparing_is_shown_until_something_else_is_said(file, tmp_path):
    file.preparing("tokenizing", 0.5)
    assert read_progress(tmp_path) == ProgressSnapshot(os.getpid(), None, "tokenizing", 0.5, None)
    file.notify("starting the trial server")
    assert read_progress(tmp_path) is None


def test_the_file_of_another_daemon_is_left_alone(file, tmp_path):
    file.progressed(at(0.1))
    other = {"pid": os.getpid() + 1, "iter": 1, "phase": "train", "fraction": 0.5, "tokens_per_s": None}
    (tmp_path / PROGRESS).write_text(json.dumps(other))
    file.close()
    assert read_progress(tmp_path).pid == other["pid"]


def test_a_directory_that_takes_nothing_and_a_number_without_a_word_stop_nothing(tmp_path):
    file = ProgressFile(tmp_path / "gone")
    file.progressed(at(0.1))
    file.close()
    file = ProgressFile(tmp_path)
    file.progressed(Progress(1, "train", float("nan"), 1, None))
    assert read_progress(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        "{}",
        "[" * 2000,
        '{"pid": 1, "iter": 1, "phase": "train", "fraction": NaN, "tokens_per_s": null}',
        '{"pid": {}, "iter": 1, "phase": "train", "fraction": 0.5, "tokens_per_s": null}',
        '{"pid": 1, "iter": 1, "phase": "' + MAX_BYTES * "x" + '", "fraction": 0.5, "tokens_per_s": null}',
        '{"pid": 1e999, "iter": 1, "phase": "train", "fraction": 0.5, "tokens_per_s": null}',
    ],
    ids=range(10),
)
def test_nonsense_is_no_progress(tmp_path, text):
    (tmp_path / PROGRESS).write_text(text)
    assert read_progress(tmp_path) is None


def test_a_fraction_is_one(tmp_path):
    (tmp_path / PROGRESS).write_text('{"pid": 1, "iter": 1, "phase": "t", "fraction": 7, "tokens_per_s": 1}')
    assert read_progress(tmp_path).fraction == 1.0


@pytest.mark.parametrize("pipe", [False, True])
def test_a_link_or_pipe_in_its_place_is_left_alone(file, tmp_path, pipe):
    precious = tmp_path / "trajectory.jsonl"
    precious.write_text("kept")
    planted = tmp_path / f".{PROGRESS}.new"
    if pipe:
        os.mkfifo(planted)
    else:
        planted.symlink_to(precious)
    file.progressed(at(0.25))
    assert read_progress(tmp_path).fraction == 0.25
    assert precious.read_text() == "kept"


def test_a_pipe_in_its_place_makes_no_onlooker_wait(tmp_path):
    os.mkfifo(tmp_path / PROGRESS)
    assert read_progress(tmp_path) is None
