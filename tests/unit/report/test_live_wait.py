"""What a daemon waits for, as other processes learn it: from run.lock, or from the disk where that is full."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.report import live_wait as module
from autoresearch.report.live_wait import live_wait
from autoresearch.storage.lock import DirectoryLock
from autoresearch.storage.run_dir import LOCK

FULL = "waits for disk space: 0.0 MiB free on /, needs 64 MiB"


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[DirectoryLock]:
    lock = DirectoryLock(tmp_path / LOCK)
    lock.acquire({"pid": 1})
    yield lock
    lock.release()


def test_it_is_what_the_daemon_wrote(lock: DirectoryLock, tmp_path: Path) -> None:
    assert live_wait(tmp_path) == ""
    lock.note("waits for disk space: 3 MiB free")
    assert live_wait(tmp_path) == "waits for disk space: 3 MiB free"


def test_where_nothing_could_be_written_the_disk_is_looked_at(
    lock: DirectoryLock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is made on a full disk has a size and no content."""
    (tmp_path / LOCK).write_bytes(bytes(1024))
    assert live_wait(tmp_path) == ""
    monkeypatch.setattr(module, "shortage", lambda *_: FULL)
    assert live_wait(tmp_path) == FULL
    lock.release()
    assert live_wait(tmp_path) == "", "no daemon runs"
