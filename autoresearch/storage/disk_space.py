"""Free disk space: how much there is, how much a run needs before a trial starts, and space allocated ahead."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from autoresearch.core.disk_wait import WAITS

FLOOR_FRAC, FLOOR_BYTES = 0.05, 64 << 20  # of a file system; 64 MiB hold the records and logs of a night
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE: the file does not grow
_libc = ctypes.CDLL(None, use_errno=True)


def shortage(directory: Path, floor_mib: float | None) -> str:
    """Why no trial should start: the file system of ``directory`` has less free space than it needs; else empty.

    ``None`` stands for a twentieth of the file system, at most 64 MiB. Free is what this user may allocate; a quota is
    not seen. Raises nothing.
    """
    try:
        disk = os.statvfs(directory)
    except OSError:
        return ""
    free, floor = disk.f_bavail * disk.f_frsize, floor_bytes(disk.f_blocks * disk.f_frsize, floor_mib)
    if free >= floor:
        return ""
    return f"{WAITS}: {mib(free)} MiB free on {mount_point(directory)}, needs {mib(floor)} MiB"


def floor_bytes(total: int, floor_mib: float | None) -> int:
    """The free bytes that a trial needs on a file system of ``total`` bytes."""
    return min(FLOOR_BYTES, int(FLOOR_FRAC * total)) if floor_mib is None else int(floor_mib * 2**20)


def mib(size: int) -> str:
    """Bytes as MiB, with one decimal below 10."""
    return f"{size / 2**20:.1f}" if size < 10 << 20 else f"{size >> 20}"


def mount_point(path: Path) -> Path:
    """Where the file system of ``path`` is mounted, as ``df`` names it."""
    real = path.resolve()
    return next((place for place in (real, *real.parents) if os.path.ismount(place)), real)


def preallocate(fd: int, offset: int, size: int) -> bool:
    """Allocate disk space for ``size`` bytes from ``offset`` on without changing the file's size (fallocate(2)).

    A later write there needs no free space. False where the disk is full or the file system cannot do that.
    """
    at, length = ctypes.c_int64(offset), ctypes.c_int64(size)
    return size > 0 and hasattr(_libc, "fallocate64") and _libc.fallocate64(fd, _KEEP_SIZE, at, length) == 0
