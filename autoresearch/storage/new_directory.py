"""A directory that a library fills: made beside its place, then renamed, so that no half of it is seen."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autoresearch.storage.files import fsync_dir


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """The directory to fill; at the end it becomes ``path``, which must be absent or an empty directory.

    After an exception ``path`` is as before. Raises ``OSError``, also where ``path`` has got a content meanwhile.
    """
    folder = Path(tempfile.mkdtemp(prefix=".export-", dir=path.parent))
    try:
        filled = folder / path.name
        filled.mkdir()
        yield filled
        os.rename(filled, path)
        fsync_dir(path.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
