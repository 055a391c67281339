"""Files that are either whole or not there, and the lock that makes one process the only writer."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoresearch.errors import JournalError, LockHeld

# A write lock over a whole file, as the 64-bit ``struct flock`` of fcntl(2).
_WHOLE_FILE = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def open_plain(path: Path, flags: int) -> int:
    """Open a plain file in a directory that others may write in; made, where ``flags`` say so, with mode 0644.

    Whoever may write there could plant a link to another file of ours, or a pipe on which the open would wait for ever:
    both, and whatever else is no plain file, are an ``OSError`` that says so.
    """
    no_file = OSError(errno.ELOOP, "it is a link, a pipe or a device, and not a plain file")
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as e:
        raise no_file if e.errno in (errno.ELOOP, errno.ENXIO) else e from e
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise no_file
    return fd


def open_log(path: Path) -> int:
    """Open ``path`` for appending, its directory made if need be and no link either. Raises ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent.is_symlink():
        raise OSError(errno.ELOOP, f"{path.parent} is a link, and not a directory")
    return open_plain(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def fsync_dir(path: Path) -> None:
    """Make the directory entries of ``path`` durable: a rename is only safe once its directory is."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def atomic_write(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``: temporary file beside it, fsync, rename, fsync of the directory.

    A reader sees the old content or the new, never a mixture. Raises ``OSError`` and leaves the old file alone.
    """
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(fd, 0o644)  # mkstemp makes it private; a log or a report is for its readers
            os.fsync(fd)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    fsync_dir(path.parent)


class DirectoryLock:
    """The one writer of a run directory, by a lock on a file in it; the kernel frees it however the holder dies.

    It is a lock of the open file description (fcntl(2), F_OFD_SETLK): unlike flock(2), the kernel answers who asks
    whether it is held without taking it, so that a look at a run can never refuse its daemon.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self, holder: Mapping[str, Any]) -> None:
        """Take the lock and write ``holder`` (pid, host, start time) into it for whoever is refused.

        Raises ``LockHeld`` naming the holder, ``JournalError`` if the directory cannot be written.
        """
        with contextlib.ExitStack() as on_failure:
            try:
                fd = open_plain(self.path, os.O_RDWR | os.O_CREAT)
                on_failure.callback(os.close, fd)
                fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _WHOLE_FILE)
                os.ftruncate(fd, 0)
                os.pwrite(fd, json.dumps(dict(holder)).encode() + b"\n", 0)
            except BlockingIOError as e:
                who = ", ".join(f"{k} {v}" for k, v in (lock_holder(self.path) or {"pid": "unknown"}).items())
                hint = "stop that one first, or use another --dir; `autoresearch status` shows what it does"
                raise LockHeld(f"{self.path.parent} belongs to a running autoresearch ({who})", hint=hint) from e
            except OSError as e:
                hint = f"choose a writable directory with --dir, or see the permissions and space of {self.path.parent}"
                what = f"cannot write in {self.path.parent}: {e.strerror} ({self.path.name})"
                raise JournalError(what, hint=hint) from e
            on_failure.pop_all()
        self._fd = fd

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would let two processes lock two inodes."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def lock_holder(path: Path) -> dict[str, Any] | None:
    """Who wrote the lock file last (not proof of life), or None if there is none or it is unreadable."""
    try:
        holder = json.loads(path.read_bytes()[:4096])
    except (OSError, ValueError):
        return None
    return holder if isinstance(holder, dict) else None


def is_locked(path: Path) -> bool:
    """Whether a live process holds the lock at ``path``; asks the kernel, and takes nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _WHOLE_FILE)
        finally:
            os.close(fd)
    except OSError:
        return False
    return bool(struct.unpack_from("h", found)[0] != fcntl.F_UNLCK)
