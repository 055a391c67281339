"""One thread for numpy's matrix products while a proposal is computed.

The matrices of a proposal are small. With several BLAS threads on a machine whose cores are busy a proposal of 35 ms
took up to 2.2 s, waiting for its threads. The variable OPENBLAS_NUM_THREADS is read when numpy is loaded and would be
inherited by the trials; so the number is set in the loaded library, as threadpoolctl does, and set back afterwards.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

MAPS = Path("/proc/self/maps")
_OPENBLAS = re.compile(r"(/\S*openblas\S*\.so\S*)$", re.MULTILINE)
_NAMES = tuple(f"{before}openblas_{{}}_num_threads{after}" for before in ("scipy_", "") for after in ("64_", ""))


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Nothing changes where numpy uses another library, or where the system does not list the loaded ones."""
    libraries = _libraries()
    before = [read() for read, _ in libraries]
    for _, write in libraries:
        write(1)
    try:
        yield
    finally:
        for (_, write), threads in zip(libraries, before, strict=True):
            write(threads)


@cache
def _libraries() -> tuple[tuple[Any, Any], ...]:
    """The functions that read and write the number of threads, of each OpenBLAS that is loaded."""
    import numpy  # noqa: F401  (loads the library)

    try:
        listed = MAPS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ()
    found = (_functions(path) for path in sorted(set(_OPENBLAS.findall(listed))))
    return tuple(pair for pair in found if pair is not None)


def _functions(path: str) -> tuple[Any, Any] | None:
    try:
        library = ctypes.CDLL(path)
    except OSError:
        return None
    for name in _NAMES:
        read, write = (getattr(library, name.format(verb), None) for verb in ("get", "set"))
        if read is not None and write is not None:
            write.argtypes, write.restype = [ctypes.c_int], None
            read.argtypes, read.restype = [], ctypes.c_int
            return read, write
    return None
