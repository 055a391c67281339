"""Links that another user planted in a run directory: what they lead to is never written, cut, moved or removed."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.core.ports import Progress
from autoresearch.energy.sample import Sample
from autoresearch.energy.telemetry import Telemetry
from autoresearch.errors import JournalError, LockHeld
from autoresearch.storage.exchange_log import ExchangeLog
from autoresearch.storage.files import atomic_write, open_append
from autoresearch.storage.journal import Journal
from autoresearch.storage.pause_flag import pause, resume
from autoresearch.storage.progress_file import ProgressFile, read_progress
from autoresearch.storage.run_dir import (
    ARCHIVE,
    EXCHANGES,
    LOCK,
    LOGS,
    PAUSE_FLAG,
    PROGRESS,
    REPORT,
    TELEMETRY,
    TRAJECTORY,
    archive,
    hold,
    run_files,
)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Path]:
    """A directory of another user; the test fails if anything in it has changed."""
    path = tmp_path / "foreign"
    path.mkdir()
    (path / "precious").write_text("kept")
    yield path
    assert {p.name: p.read_text() for p in path.iterdir()} == {"precious": "kept"}


@pytest.mark.parametrize("link", [os.symlink, os.link])
class TestFiles:
    def test_the_lock(self, link, run_dir: Path, foreign: Path) -> None:
        link(foreign / "precious", run_dir / LOCK)
        with pytest.raises(JournalError, match=r"it is a (hard )?link.*run\.lock"), hold(run_dir):
            pass

    @pytest.mark.parametrize("name", [TRAJECTORY, EXCHANGES])
    def test_a_log(self, link, name: str, run_dir: Path, foreign: Path) -> None:
        link(foreign / "precious", run_dir / name)
        with pytest.raises(JournalError, match=r"it is a (hard )?link"):
            Journal(run_dir / name)

    def test_a_file_that_is_replaced(self, link, run_dir: Path, foreign: Path) -> None:
        link(foreign / "precious", run_dir / REPORT)
        atomic_write(run_dir / REPORT, b"report")
        assert (run_dir / REPORT).read_bytes() == b"report"

    def test_a_file_of_logs(self, link, run_dir: Path, foreign: Path) -> None:
        (run_dir / LOGS).mkdir()
        link(foreign / "precious", run_dir / LOGS / "hooks.log")
        with pytest.raises(OSError, match=r"it is a (hard )?link"):
            open_append(run_dir / LOGS / "hooks.log")


def test_a_flag_that_is_a_dangling_link_creates_nothing_and_is_removed_by_resume(run_dir: Path, foreign: Path) -> None:
    (run_dir / PAUSE_FLAG).symlink_to(foreign / "new")
    pause(run_dir)
    assert resume(run_dir)
    assert not os.listdir(run_dir)


def test_archive_is_not_a_link(run_dir: Path, foreign: Path) -> None:
    (run_dir / TRAJECTORY).write_text("old")
    (run_dir / ARCHIVE).symlink_to(foreign)
    with pytest.raises(JournalError, match="archive is a link"):
        archive(run_dir, run_files(run_dir), lambda _message: None)
    assert (run_dir / TRAJECTORY).read_text() == "old"


def test_a_link_among_the_files_of_a_run_is_moved_itself(run_dir: Path, foreign: Path) -> None:
    (run_dir / LOGS).symlink_to(foreign)
    archive(run_dir, run_files(run_dir), lambda _message: None)
    (moved,) = (run_dir / ARCHIVE).glob("*/logs")
    assert moved.is_symlink()


def test_a_log_in_use_is_not_archived(run_dir: Path) -> None:
    journal = Journal(run_dir / TRAJECTORY)
    with pytest.raises(LockHeld, match="a running autoresearch appends to"):
        archive(run_dir, run_files(run_dir), lambda _message: None)
    assert (run_dir / TRAJECTORY).exists()
    journal.close()


def test_a_compression_that_was_killed_is_swept_and_nothing_else(run_dir: Path) -> None:
    foreign = [".exchanges-0001.jsonl.gz.bak", ".exchanges-notes.jsonl.gz.abcdefgh"]
    for name in [*foreign, ".exchanges-0001.jsonl.gz.0a1b2c3d"]:
        (run_dir / name).touch()
    ExchangeLog(run_dir).close()
    assert sorted(os.listdir(run_dir)) == sorted([*foreign, EXCHANGES])


def test_a_link_given_as_the_run_directory_works(run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run_dir)
    with hold(tmp_path / "link") as held:
        Journal(held / TRAJECTORY).close()
        os.close(open_append(held / LOGS / "hooks.log"))
        atomic_write(held / REPORT, b"report")
        archive(held, run_files(held), lambda _message: None)
    assert sorted(os.listdir(run_dir)) == [ARCHIVE, LOCK]


def test_the_advice_after_a_failed_move_works_as_printed(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run_dir / TRAJECTORY).write_text("old")
    (run_dir / LOGS).mkdir()

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail)
        with pytest.raises(JournalError) as error:
            archive(run_dir, run_files(run_dir), lambda _message: None)
    advice, _, _ = error.value.hint.partition(", then start")
    subprocess.run(advice, shell=True, check=True)
    assert run_files(run_dir) == []
    assert [p.read_text() for p in run_dir.glob(f"{ARCHIVE}/*/{TRAJECTORY}")] == ["old"]


def test_the_advice_for_a_linked_archive_removes_the_link_only(run_dir: Path, foreign: Path) -> None:
    (run_dir / ARCHIVE).symlink_to(foreign)
    (run_dir / TRAJECTORY).touch()
    with pytest.raises(JournalError) as error:
        archive(run_dir, run_files(run_dir), lambda _message: None)
    subprocess.run(error.value.hint.partition(": ")[2], shell=True, check=True)
    archive(run_dir, run_files(run_dir), lambda _message: None)


@pytest.mark.parametrize("name", [PROGRESS, f".{PROGRESS}.new", TELEMETRY, EXCHANGES])
def test_a_link_in_place_of_a_file_is_not_written_through(run_dir: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.write_text('{"pid": 1, "iter": 1, "phase": "train", "fraction": 0.5, "tokens_per_s": 1.0}')
    before = outside.read_bytes()
    (run_dir / name).symlink_to(outside)
    assert read_progress(run_dir) is None
    progress = ProgressFile(run_dir)
    progress.progressed(Progress(1, "train", 0.5, 1, None))
    telemetry = Telemetry(run_dir)
    telemetry.write(Sample(1.0, power_w=1.0), 1.0, 1.8e9, "train", "gpu")
    with contextlib.suppress(JournalError):
        ExchangeLog(run_dir).close()
    progress.close()
    telemetry.close()
    assert outside.read_bytes() == before
