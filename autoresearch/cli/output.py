"""Where a command's text goes: to a terminal, to a file, or to nobody."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autoresearch.errors import AutoresearchError
from autoresearch.storage.run_dir import LOCK


def discard_stdout() -> None:
    """What is still to be written to stdout has no reader: let it go, so that the end of the process is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@contextlib.contextmanager
def without_gc() -> Iterator[None]:
    """Without looking for garbage: reading 10,000 iterations keeps all that it makes, and takes half the time so."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def write_file(path: Path, text: str, mode: int = 0o644) -> None:
    """The file that ``--out`` names, whole or not at all."""
    from autoresearch.storage.files import atomic_write

    try:
        atomic_write(path, text.encode())
        path.chmod(mode)
    except OSError as e:
        raise AutoresearchError(f"cannot write {path}: {e.strerror}") from e


def looks(path: Path, to_file: bool) -> dict[str, Any]:
    """How wide and how colourful, and what the records cannot know: whether a daemon is at work on them."""
    from autoresearch.storage.lock import is_locked

    lock = path / LOCK
    on_terminal = sys.stdout.isatty() and not to_file
    return {
        "width": shutil.get_terminal_size((100, 24)).columns if on_terminal else 100,
        "color": on_terminal and "NO_COLOR" not in os.environ,
        "writer_alive": is_locked(lock) if path.is_dir() else None,
    }
