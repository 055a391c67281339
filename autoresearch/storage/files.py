"""Durable files: atomic replacement, fsync of directories, and opening that refuses links and pipes."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path


def open_regular(path: Path, flags: int) -> int:
    """Open a regular file in a directory that other users may write in; ``O_CREAT`` creates it with mode 0644.

    Another user could place a link to one of our files there, or a pipe on which the open would block. Raises
    ``OSError`` for a link, a pipe and anything else that is not a regular file.
    """
    not_regular = OSError(errno.ELOOP, "it is a link, a pipe or a device, not a regular file")
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as e:
        raise not_regular if e.errno in (errno.ELOOP, errno.ENXIO) else e from e
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise not_regular
    return fd


def open_append(path: Path) -> int:
    """Open ``path`` for appending and create its directory, which must not be a link. Raises ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent.is_symlink():
        raise OSError(errno.ELOOP, f"{path.parent} is a link, not a directory")
    return open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def fsync_dir(path: Path) -> None:
    """Make the directory entries of ``path`` durable: a rename is durable only once its directory is."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def atomic_write(path: Path, data: bytes) -> None:
    """Replace the content of ``path``: temporary file beside it, fsync, rename, fsync of the directory.

    A reader sees the old content or the new, never a mixture. Raises ``OSError`` and leaves the old file unchanged.
    """
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(fd, 0o644)  # mkstemp creates it with mode 0600; other users may read logs and reports
            os.fsync(fd)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    fsync_dir(path.parent)
