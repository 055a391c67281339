"""A directory that appears complete or not at all: built beside its place, then renamed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autoresearch.errors import CorpusError
from autoresearch.hints import explain


@contextmanager
def build_directory(out: Path, what: str) -> Iterator[Path]:
    """A temporary directory beside ``out`` to build ``what`` in; removed at the end unless it was renamed.

    It is locked while it is in use. What a killed process left of the same ``out`` is removed first: those directories
    have our name and owner, and no lock. Raises ``CorpusError`` for every ``OSError`` in the block.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{out.name}.building-"
        _sweep(out.parent, prefix)
        with _locked_directory(out.parent, prefix) as work:
            try:
                yield work
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except OSError as e:
        why, hint = explain(e, out, "create")
        raise CorpusError(f"cannot write {what} to {out}: {why}", hint=hint) from e


@contextmanager
def _locked_directory(parent: Path, prefix: str) -> Iterator[Path]:
    """A new directory, locked. Another process may sweep it before it is locked: then it is created again."""
    while True:
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with _locked(work) as locked:
            if locked is not False and work.exists():
                yield work
                return


def _sweep(parent: Path, prefix: str) -> None:
    for entry in list(os.scandir(parent)):
        if not entry.name.startswith(prefix) or not entry.is_dir(follow_symlinks=False):
            continue
        if entry.stat(follow_symlinks=False).st_uid != os.geteuid():
            continue
        with _locked(Path(entry.path)) as locked:
            if locked:
                shutil.rmtree(entry.path, ignore_errors=True)  # does not follow links


@contextmanager
def _locked(path: Path) -> Iterator[bool | None]:
    """Whether the directory is now locked; ``None`` on a file system that cannot lock a directory."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    locked: bool | None = True
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            locked = False
        except OSError:
            locked = None
        yield locked
    finally:
        with contextlib.suppress(OSError):
            os.close(fd)
