"""A file that a library writes by its path: written beside its place, then renamed, so that no half of it is seen."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autoresearch.storage.files import fsync_dir


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """The path to write to; at the end its file takes the place of ``path``, durably. Raises ``OSError``.

    It lies in a directory of its own beside ``path``, which is removed with whatever else was written there, for
    example lock files. After an exception ``path`` is as before.
    """
    folder = Path(tempfile.mkdtemp(prefix=".export-", dir=path.parent))
    try:
        temporary = folder / path.name
        yield temporary
        with temporary.open("rb") as file:
            os.fchmod(file.fileno(), 0o644)  # whatever the umask: as ``atomic_write``
            os.fsync(file.fileno())
        os.rename(temporary, path)
        fsync_dir(path.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
