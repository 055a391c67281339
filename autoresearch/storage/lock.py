"""The lock that makes one process the only writer of a run directory."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoresearch.errors import JournalError, LockHeld
from autoresearch.hints import NO_SPACE, command, explain
from autoresearch.storage.files import open_regular, opened_directory

# A write lock over a whole file, as the 64-bit ``struct flock`` of fcntl(2).
_WHOLE_FILE = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)

HOLDER_BYTES = 1023  # of the text in the file, padded
WAITS_FOR, MAX_WAITS_CHARS = "waits_for", 400


def lock_whole_file(fd: int) -> None:
    """Lock the open file ``fd``, which must be open for writing. Raises ``BlockingIOError`` if another holds it."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _WHOLE_FILE)


class DirectoryLock:
    """A lock on a file in the run directory; the kernel releases it however the holder ends.

    It is a lock of the open file description (fcntl(2), F_OFD_SETLK): unlike flock(2), it can be tested without being
    taken, so a command that inspects a run can never make its daemon fail to start.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        self._holder: dict[str, Any] = {}

    def acquire(self, holder: Mapping[str, Any]) -> None:
        """Take the lock and write ``holder`` (pid, host, start time) into the file, for the message of a refusal.

        Raises ``LockHeld`` naming the holder, ``JournalError`` if the directory cannot be written.
        """
        with contextlib.ExitStack() as on_failure:
            try:
                with opened_directory(self.path.parent) as folder:
                    fd = open_regular(self.path.name, os.O_RDWR | os.O_CREAT, dir_fd=folder)
                on_failure.callback(os.close, fd)
                lock_whole_file(fd)
                _write_holder(fd, holder)
            except BlockingIOError as e:
                text = ", ".join(f"{k} {v}" for k, v in (lock_holder(self.path) or {"pid": "unknown"}).items())
                shows = f"`{command('status', self.path.parent)}` shows what it does"
                hint = f"stop that process first, or use another --dir; {shows}"
                raise LockHeld(f"{self.path.parent} belongs to a running autoresearch ({text})", hint=hint) from e
            except OSError as e:
                why, hint = explain(e, self.path, "write")
                what = f"cannot write in {self.path.parent}: {why} ({self.path.name})"
                raise JournalError(what, hint=f"{hint}; or choose another directory with --dir") from e
            on_failure.pop_all()
        self._fd, self._holder = fd, dict(holder)

    def note(self, waits: str) -> None:
        """Add to the file what the holder waits for, for other processes; empty text removes it. Best effort."""
        if self._fd is not None and waits != self._holder.get(WAITS_FOR, ""):
            self._holder = {name: value for name, value in self._holder.items() if name != WAITS_FOR}
            self._holder |= {WAITS_FOR: waits[:MAX_WAITS_CHARS]} if waits else {}
            with contextlib.suppress(OSError):
                _write_holder(self._fd, self._holder)

    def release(self) -> None:
        """Release the lock. The file stays: removing it would let two processes lock two inodes."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _write_holder(fd: int, holder: Mapping[str, Any]) -> None:
    """Overwrite the file in place, always with one size: where it was written once, a full disk does not prevent it.

    The lock is held even where the disk was full before; only its text is missing then. Raises ``OSError``.
    """
    text = json.dumps(dict(holder)).encode().ljust(HOLDER_BYTES) + b"\n"
    try:
        os.pwrite(fd, text, 0)
    except OSError as e:
        if e.errno not in NO_SPACE:
            raise
    os.ftruncate(fd, len(text))


def waits_for(path: Path) -> str:
    """What the live process that holds the lock at ``path`` waits for; empty if it does not wait or none does."""
    holder = lock_holder(path) if is_locked(path) else None
    return str(holder.get(WAITS_FOR, ""))[:MAX_WAITS_CHARS] if holder else ""


def lock_holder(path: Path) -> dict[str, Any] | None:
    """Return the process that last wrote the lock file, alive or not; ``None`` for a missing or unreadable file."""
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:  # a pipe would block the reader
            holder = json.loads(file.read(4096))
    except (OSError, ValueError):
        return None
    return holder if isinstance(holder, dict) else None


def is_locked(path: Path) -> bool:
    """Whether a live process holds the lock at ``path``; tests the lock without taking it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            lock = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _WHOLE_FILE)
        finally:
            os.close(fd)
    except OSError:
        return False
    return bool(struct.unpack_from("h", lock)[0] != fcntl.F_UNLCK)
