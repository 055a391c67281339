"""A run directory has one writer, and looking who it is disturbs nobody."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.errors import JournalError, LockHeld
from autoresearch.storage.lock import DirectoryLock, is_locked, lock_holder, waits_for
from tests.processes import another_process, no_file_above


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
        with no_file_above(0), pytest.raises(JournalError, match="RLIMIT_FSIZE"):
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


class TestWaits:
    def test_what_the_holder_waits_for_is_read_by_others_while_it_lives(self, tmp_path: Path) -> None:
        path = tmp_path / "run.lock"
        lock = DirectoryLock(path)
        lock.acquire({"pid": os.getpid(), "host": "desk"})
        assert waits_for(path) == ""
        lock.note("waits for disk space: 3 MiB free on /, needs 64 MiB")
        assert waits_for(path) == "waits for disk space: 3 MiB free on /, needs 64 MiB"
        lock.note("")
        assert waits_for(path) == ""
        assert lock_holder(path) == {"pid": os.getpid(), "host": "desk"}
        lock.note("waits")
        lock.release()
        assert waits_for(path) == "", "what a dead holder left says nothing"

    def test_it_is_written_in_place(self, tmp_path: Path) -> None:
        """On a full disk there is no space for another file or another block."""
        lock = DirectoryLock(tmp_path / "run.lock")
        lock.acquire({"pid": 1})
        before = lock.path.stat()
        lock.note("x" * 10_000)
        after = lock.path.stat()
        assert (after.st_ino, after.st_size, after.st_blocks) == (before.st_ino, before.st_size, before.st_blocks)
        assert waits_for(lock.path) == "x" * 400

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
    def test_a_full_disk_does_not_prevent_the_lock(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        def full(*_: object) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "pwrite", full)
        lock = DirectoryLock(tmp_path / "run.lock")
        lock.acquire({"pid": 1})
        lock.note("waits")
        assert is_locked(lock.path)
        assert lock_holder(lock.path) is None
