"""Files that are either whole or not there, and the lock that makes one process the only writer."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path


def open_regular(path: Path, flags: int) -> int:
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


def open_append(path: Path) -> int:
    """Open ``path`` for appending, its directory made if need be and no link either. Raises ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent.is_symlink():
        raise OSError(errno.ELOOP, f"{path.parent} is a link, and not a directory")
    return open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


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
