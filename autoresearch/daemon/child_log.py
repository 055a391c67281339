"""The log file that a child process of the daemon writes to, bounded by its predecessor's size."""

from __future__ import annotations

import os
from pathlib import Path

from autoresearch.storage.files import open_append, opened_directory


def open_child_log(path: Path, max_bytes: int) -> int:
    """Open ``path`` for appending; one above ``max_bytes`` becomes ``NAME.1`` first. Without a log it is /dev/null."""
    try:
        fd = open_append(path)
        if os.fstat(fd).st_size <= max_bytes:
            return fd
        os.close(fd)
        with opened_directory(path.parent, own=True) as folder:
            os.rename(path.name, f"{path.name}.1", src_dir_fd=folder, dst_dir_fd=folder)
        return open_append(path)
    except OSError:  # without its log the child still runs
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
