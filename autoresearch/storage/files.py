"""Durable files: atomic replacement, fsync of directories, and opening that refuses links and pipes."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path


def open_regular(path: Path | str, flags: int, *, dir_fd: int | None = None) -> int:
    """Open a regular file in a directory that other users may write in; ``O_CREAT`` creates it with mode 0644.

    Another user could place a link to one of our files there, or a pipe on which the open would block. Raises
    ``OSError`` for a link, a pipe and anything else that is not a regular file, and, where ``flags`` allow writing, for
    a file with a second hard link. A name relative to ``dir_fd`` does not depend on what happens to its path.
    """
    not_regular = OSError(errno.ELOOP, "it is a link, a pipe or a device, not a regular file")
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644, dir_fd=dir_fd)
    except OSError as e:
        raise not_regular if e.errno in (errno.ELOOP, errno.ENXIO) else e from e
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise not_regular
    if flags & os.O_ACCMODE != os.O_RDONLY and status.st_nlink > 1:
        os.close(fd)
        raise OSError(errno.EMLINK, "it is a hard link: the same file has another name, perhaps in another directory")
    return fd


@contextlib.contextmanager
def opened_directory(path: Path, *, own: bool = False, create: bool = False) -> Iterator[int]:
    """A handle of the directory ``path``, to which names inside it are relative. Raises ``OSError``.

    The user may give a link as a run directory; ``own`` is for a directory that autoresearch itself makes inside one,
    for example logs/, and refuses a link in its place. ``create`` makes the directory where it is missing.
    """
    if create:
        (path.parent if own else path).mkdir(parents=True, exist_ok=True)
    fd = _open_own(path, create) if own else os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _open_own(path: Path, create: bool) -> int:
    with opened_directory(path.parent) as parent:
        if create:
            with contextlib.suppress(FileExistsError):
                os.mkdir(path.name, dir_fd=parent)
        try:
            return os.open(path.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        except NotADirectoryError as e:
            if stat.S_ISLNK(os.stat(path.name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise OSError(errno.ELOOP, f"{path} is a link, not a directory") from e
            raise


def open_append(path: Path) -> int:
    """Open ``path`` for appending and create its directory, which must not be a link. Raises ``OSError``."""
    with opened_directory(path.parent, own=True, create=True) as folder:
        return open_regular(path.name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, dir_fd=folder)


def create_file(name: str, folder: int, data: bytes) -> None:
    """Write the new file ``name`` in the directory of the handle ``folder``, durably. Raises ``OSError``."""
    fd = open_regular(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=folder)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder)
        raise
    os.fsync(folder)


def is_plain_file(name: str, folder: int) -> bool:
    """Whether ``name`` in the directory of the handle ``folder`` is a regular file, not a link."""
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def fsync_dir(path: Path) -> None:
    """Make the directory entries of ``path`` durable: a rename is durable only once its directory is."""
    with opened_directory(path) as fd:
        os.fsync(fd)


def atomic_write(path: Path, data: bytes, *, own_folder: bool = False, durable: bool = True) -> None:
    """Replace the content of ``path``: temporary file beside it, fsync, rename, fsync of the directory.

    A reader sees the old content or the new, never a mixture. Raises ``OSError`` and leaves the old file unchanged.
    ``own_folder``: see ``own`` of ``opened_directory``. Not ``durable``: it may be lost or torn when the power fails.
    """
    temporary = f".{path.name}.{secrets.token_hex(4)}"
    with opened_directory(path.parent, own=own_folder) as folder:
        fd = open_regular(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=folder)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(fd, 0o644)  # whatever the umask: other users may read logs and reports
                if durable:
                    os.fsync(fd)
            os.rename(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            raise
        if durable:
            os.fsync(folder)
