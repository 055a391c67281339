"""Output of a command: how it is rendered, how a file is written, and what happens without a reader."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from autoresearch.errors import AutoresearchError
from autoresearch.storage.run_dir import has_writer


def discard_stdout() -> None:
    """Redirect stdout to /dev/null: its reader is gone, and the flush at exit must not print an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def write_file(path: Path, text: str, mode: int = 0o644) -> None:
    """Write the file that ``--out`` names, atomically. Raises ``AutoresearchError``."""
    from autoresearch.storage.files import atomic_write

    try:
        atomic_write(path, text.encode())
        path.chmod(mode)
    except OSError as e:
        raise AutoresearchError(f"cannot write {path}: {e.strerror}") from e


def render_options(path: Path, to_file: bool) -> dict[str, Any]:
    """Arguments of a text renderer: width, colour, and whether a daemon holds the run's lock."""
    on_terminal = sys.stdout.isatty() and not to_file
    return {
        "width": shutil.get_terminal_size((100, 24)).columns if on_terminal else 100,
        "color": on_terminal and "NO_COLOR" not in os.environ,
        "writer_alive": has_writer(path) if path.is_dir() else None,
    }
