"""A file is whole or not there, and a run directory has one writer."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.errors import JournalError, LockHeld
from autoresearch.storage.files import atomic_write, open_append, open_regular
from autoresearch.storage.journal import Journal
from autoresearch.storage.lock import DirectoryLock, is_locked, lock_holder

BLOCK = 1 << 16


@contextlib.contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Every write beyond ``size`` bytes fails, as on a full disk; Python ignores the signal that comes with it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def another_process(code: str, *args: object) -> Iterator[subprocess.Popen[bytes]]:
    """A Python that has printed its first line; killed at the end."""
    command = [sys.executable, "-c", code, *map(str, args)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def another_holder(lock: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock until it is killed."""
    code = """if True:
        import os, sys
        from pathlib import Path
        from autoresearch.storage.lock import DirectoryLock
        lock = DirectoryLock(Path(sys.argv[1]))
        lock.acquire({"pid": os.getpid(), "host": "desk"})
        print("held", flush=True)
        sys.stdin.read()
    """
    with another_process(code, lock) as process:
        yield process


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


class TestDirectoryLock:
    def test_a_second_process_is_refused_and_told_who_holds_it(self, tmp_path: Path) -> None:
        with another_holder(tmp_path / "run.lock") as other:
            with pytest.raises(LockHeld) as refusal:
                DirectoryLock(tmp_path / "run.lock").acquire({"pid": os.getpid()})
            assert f"pid {other.pid}, host desk" in str(refusal.value)
            assert str(tmp_path) in str(refusal.value)
            assert refusal.value.hint
            holder = lock_holder(tmp_path / "run.lock")
            assert holder == {"pid": other.pid, "host": "desk"}, "a refusal must not overwrite who holds it"

    def test_a_second_writer_in_the_same_process_is_refused_too(self, tmp_path: Path) -> None:
        first, second = (DirectoryLock(tmp_path / "run.lock") for _ in range(2))
        first.acquire({"pid": os.getpid()})
        with pytest.raises(LockHeld, match=f"pid {os.getpid()}"):
            second.acquire({"pid": os.getpid()})
        first.release()
        second.acquire({"pid": os.getpid()})
        second.release()

    def test_the_kernel_frees_it_when_the_holder_is_killed(self, tmp_path: Path) -> None:
        with another_holder(tmp_path / "run.lock") as other:
            other.send_signal(signal.SIGKILL)
            other.wait()
        lock = DirectoryLock(tmp_path / "run.lock")
        lock.acquire({"pid": os.getpid()})
        assert lock_holder(tmp_path / "run.lock") == {"pid": os.getpid()}
        lock.release()

    def test_a_child_that_outlives_the_holder_does_not_keep_it(self, tmp_path: Path) -> None:
        lock = DirectoryLock(tmp_path / "run.lock")
        lock.acquire({"pid": os.getpid()})
        with another_process("import sys; print('here', flush=True); sys.stdin.read()"):
            lock.release()
            assert not is_locked(tmp_path / "run.lock")

    def test_refusals_leak_no_file_descriptor(self, tmp_path: Path) -> None:
        lock, again = DirectoryLock(tmp_path / "run.lock"), DirectoryLock(tmp_path / "run.lock")
        lock.acquire({"pid": os.getpid()})
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with pytest.raises(LockHeld):
                again.acquire({})
        assert len(os.listdir("/proc/self/fd")) == before
        lock.release()

    def test_a_lock_file_of_garbage_is_taken_all_the_same(self, tmp_path: Path) -> None:
        (tmp_path / "run.lock").write_bytes(b"\xff" * 10_000)
        assert lock_holder(tmp_path / "run.lock") is None
        lock = DirectoryLock(tmp_path / "run.lock")
        lock.acquire({"pid": 1})
        assert lock_holder(tmp_path / "run.lock") == {"pid": 1}
        lock.release()

    def test_a_directory_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(JournalError, match="cannot write in /proc"):
            DirectoryLock(Path("/proc/run.lock")).acquire({"pid": 1})

    def test_on_a_full_disk_it_is_refused_and_not_held(self, tmp_path: Path) -> None:
        with no_file_above(0), pytest.raises(JournalError, match="File too large"):
            DirectoryLock(tmp_path / "run.lock").acquire({"pid": 1})
        assert not is_locked(tmp_path / "run.lock")


class TestIsLocked:
    def test_it_knows_held_from_free_and_from_absent(self, tmp_path: Path) -> None:
        path = tmp_path / "run.lock"
        assert not is_locked(path)
        assert not path.exists(), "looking creates nothing"
        with another_holder(path):
            assert is_locked(path)
        assert not is_locked(path)
        assert path.exists(), "the file stays; the lock does not"

    def test_looking_never_refuses_the_daemon(self, tmp_path: Path) -> None:
        """`watch autoresearch status` must not keep the service from starting."""
        code = """if True:
            import sys
            from pathlib import Path
            from autoresearch.storage.lock import is_locked
            print("looking", flush=True)
            while True:
                is_locked(Path(sys.argv[1]))
        """
        lock = DirectoryLock(tmp_path / "run.lock")
        with another_process(code, lock.path):
            for _ in range(2000):
                lock.acquire({"pid": os.getpid()})
                lock.release()


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
