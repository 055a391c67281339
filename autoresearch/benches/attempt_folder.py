"""The folder of one attempt: its name, whatever the case's id is, and its durability."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from autoresearch.errors import JournalError
from autoresearch.hints import hint_after

ATTEMPTS = "attempts"
MAX_NAME_CHARS = 80
_PLAIN = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{MAX_NAME_CHARS - 1}}}")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def attempt_folder(run_dir: Path, case_id: str, sample: int) -> Path:
    """DIR/attempts/CASE-SAMPLE. An id that is not a plain file name is shortened and gets a hash after a ``~``."""
    return run_dir / ATTEMPTS / f"{_safe_name(case_id)}-{sample}"


def _safe_name(case_id: str) -> str:
    if _PLAIN.fullmatch(case_id):
        return case_id
    digest = hashlib.sha256(case_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{_UNSAFE.sub('_', case_id)[:MAX_NAME_CHARS].lstrip('.')}~{digest}"


def make_fresh(folder: Path) -> None:
    """Create ``folder``, empty: what a killed attempt left in it is removed. Raises ``JournalError``."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove(folder)
        folder.mkdir()
    except OSError as e:
        raise JournalError(f"cannot create {folder}: {e.strerror}", hint=hint_after(e, folder, "create")) from e


def remove(folder: Path) -> None:
    """Remove a folder with what is in it, if it is there. A link is removed, not followed. Raises ``OSError``."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        _empty(folder)
        folder.rmdir()


def _empty(folder: Path) -> None:
    """Remove what is in ``folder``, with one handle at a time and no recursion.

    An attempt may nest directories deeper than Python recurses, than descriptors last and than a path may be long.
    """
    above: list[str] = []  # the names of the directories that lead from ``folder`` to the open one
    fd = os.open(folder, _DIRECTORY)
    try:
        while True:
            below = _remove_files(fd)
            if below is not None:
                with suppress(OSError):  # an attempt may have taken the rights away
                    os.chmod(below, stat.S_IRWXU, dir_fd=fd)
                above.append(below)
                fd = _exchanged(fd, below)
            elif above:
                fd = _exchanged(fd, "..")
                os.rmdir(above.pop(), dir_fd=fd)
            else:
                return
    finally:
        os.close(fd)


def _remove_files(fd: int) -> str | None:
    """Remove the files of a directory up to its first directory; the name of that, ``None`` where there is none."""
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                return entry.name
            os.unlink(entry.name, dir_fd=fd)
    return None


def _exchanged(fd: int, name: str) -> int:
    """The handle of the directory ``name`` in place of ``fd``, which is closed."""
    other = os.open(name, _DIRECTORY, dir_fd=fd)
    os.close(fd)
    return other


def settle(folder: Path) -> None:
    """Make what an attempt left durable, before its record is written; an empty folder is removed.

    Files whose path is longer than the system allows are left to the system: no check and no reader opens them.
    """
    with suppress(OSError):
        folder.rmdir()
        return
    waiting = [str(folder)]
    while waiting:
        place = waiting.pop()
        with suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    _sync(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        _sync(place, os.O_RDONLY | os.O_DIRECTORY)
    _sync(str(folder.parent), os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: str, flags: int) -> None:
    """Best effort: an attempt may leave links, pipes, and files that cannot be read."""
    with suppress(OSError):
        fd = os.open(path, flags | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
