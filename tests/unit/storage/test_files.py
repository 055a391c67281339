"""A file is whole or not there, and what others plant in a run directory is never opened."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.errors import JournalError
from autoresearch.storage.files import atomic_write, open_append, open_regular
from autoresearch.storage.journal import Journal
from autoresearch.storage.lock import DirectoryLock, is_locked
from tests.processes import another_process, no_file_above

BLOCK = 1 << 16


class TestAtomicWrite:
    def test_the_new_content_replaces_the_old(self, tmp_path: Path) -> None:
        path = tmp_path / "report.txt"
        atomic_write(path, b"old, and longer")
        atomic_write(path, b"new")
        assert path.read_bytes() == b"new"
        assert os.listdir(tmp_path) == ["report.txt"]

    def test_everyone_may_read_it_whatever_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0o077)
        try:
            atomic_write(tmp_path / "report.txt", b"for my colleagues")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "report.txt").stat().st_mode) == 0o644

    def test_a_reader_never_sees_a_mixture(self, tmp_path: Path) -> None:
        path, done = tmp_path / "status", threading.Event()
        atomic_write(path, b"0" * BLOCK)

        def write() -> None:
            try:
                for n in range(100):
                    atomic_write(path, b"%d" % (n % 10) * BLOCK)
            finally:
                done.set()

        writer = threading.Thread(target=write)
        writer.start()
        whole = []
        while not done.is_set():
            content = path.read_bytes()
            whole.append(content == content[:1] * BLOCK)
        writer.join()
        assert whole
        assert all(whole)

    def test_on_a_full_disk_the_old_file_stays_and_nothing_is_left_behind(self, tmp_path: Path) -> None:
        path = tmp_path / "report.txt"
        atomic_write(path, b"yesterday's")
        with no_file_above(1000), pytest.raises(OSError, match="too large"):
            atomic_write(path, b"x" * 1001)
        assert path.read_bytes() == b"yesterday's"
        assert os.listdir(tmp_path) == ["report.txt"]

    def test_a_directory_of_that_name_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "report.txt").mkdir()
        with pytest.raises(IsADirectoryError):
            atomic_write(tmp_path / "report.txt", b"text")
        assert os.listdir(tmp_path) == ["report.txt"]

    def test_a_writer_that_is_killed_leaves_one_version_or_the_other(self, tmp_path: Path) -> None:
        path = tmp_path / "report.txt"
        code = """if True:
            import sys
            from pathlib import Path
            from autoresearch.storage.files import atomic_write
            for letter in b"ab" * 10**6:
                atomic_write(Path(sys.argv[1]), bytes([letter]) * 65536)
                print("written", flush=True)
        """
        with another_process(code, path) as process:
            assert process.stdout is not None
            for _ in range(5):
                process.stdout.readline()
        assert path.read_bytes() in (b"a" * BLOCK, b"b" * BLOCK)


class TestWhatOthersMayPlant:
    """A group member may write in a run directory, and must reach no other file with that, nor make the daemon wait."""

    @pytest.fixture(params=["link", "dangling", "pipe", "pipe with a reader"])
    def planted(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
        path, precious = tmp_path / "planted", tmp_path / "precious"
        if request.param == "link":
            precious.write_text("kept")
        if "pipe" in request.param:
            os.mkfifo(path)
        else:
            path.symlink_to(precious)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if "reader" in request.param else None
        yield path
        if reader is not None:
            os.close(reader)
        if request.param == "link":
            assert precious.read_text() == "kept"
        else:
            assert not precious.exists()

    @pytest.mark.parametrize("flags", [os.O_WRONLY | os.O_APPEND, os.O_RDWR, os.O_RDONLY])
    def test_is_not_opened(self, planted: Path, flags: int) -> None:
        with pytest.raises(OSError, match="not a regular file"):
            open_regular(planted, flags | os.O_CREAT)

    def test_is_no_trajectory(self, planted: Path) -> None:
        with pytest.raises(JournalError, match="planted: it is a link, a pipe or a device"):
            Journal(planted)

    def test_is_no_lock(self, planted: Path) -> None:
        with pytest.raises(JournalError, match=r"it is a link, a pipe or a device.*planted"):
            DirectoryLock(planted).acquire({})
        assert not is_locked(planted)

    def test_a_log_is_not_written_through_a_link_in_place_of_its_directory(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "logs").symlink_to("elsewhere")
        with pytest.raises(OSError, match="is a link"):
            open_append(tmp_path / "logs" / "hooks.log")
        assert not os.listdir(tmp_path / "elsewhere")


def test_a_cache_is_written_without_waiting_for_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("it waited for the disk"))
    atomic_write(tmp_path / "cache", b"fast", durable=False)
    assert (tmp_path / "cache").read_bytes() == b"fast"
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]
