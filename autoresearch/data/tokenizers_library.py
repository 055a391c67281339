"""The ``tokenizers`` library: its import, its threads, and the memory without which it must not be used.

It aborts the process where an allocation fails: nothing can be caught, so that it must not come to that.
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Iterable, Iterator
from types import ModuleType

from autoresearch.errors import CorpusError, missing_extra
from autoresearch.machine import address_space_left, explain_os_error, usable_cpus

THREAD_BYTES = 66 << 20  # that each thread reserves: its stack, and glibc's arena of 64 MiB
SPARE_BYTES = 16 << 20
MEMORY_HINT = "RAYON_NUM_THREADS=1 for fewer threads, or --tokenizer byte"


@functools.cache
def load_library() -> ModuleType:
    """The package. It encodes on all cores, except in a forked child, which lacks its threads.

    Raises ``MissingPackage``, and ``CorpusError`` where its threads would have too little memory.
    """
    try:
        import tokenizers
    except ImportError as e:
        raise missing_extra("a bpe or gpt2 tokenizer", "tokenizers", "bpe") from e
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    _require_memory((usable_threads() + 1) * THREAD_BYTES + SPARE_BYTES)
    os.register_at_fork(after_in_child=lambda: os.environ.update(TOKENIZERS_PARALLELISM="false"))
    return tokenizers


def usable_threads() -> int:
    """The number of cores, or fewer by the environment variables that limit the library's threads."""
    if os.environ.get("TOKENIZERS_PARALLELISM", "").lower() in ("off", "false", "f", "no", "n", "0"):
        return 1
    chosen = os.environ.get("RAYON_NUM_THREADS", "")
    return int(chosen) if chosen.isdigit() and int(chosen) else usable_cpus()


def while_memory_lasts(texts: Iterable[str]) -> Iterator[str]:
    """``texts`` to train on. The training then takes as much memory again as it took to read them.

    Raises ``CorpusError`` where a limit of this process leaves less.
    """
    start = address_space_left()
    for text in texts:
        yield text
        if start is not None and (left := address_space_left()) is not None:
            _require_memory(start - left)


def _require_memory(needed: int) -> None:
    left = address_space_left()
    if left is None or left >= needed:
        return
    what, hint = explain_os_error(OSError(errno.ENOMEM, ""))
    problem = f"the tokenizers library needs {needed >> 20:,} MiB more, and {max(0, left) >> 20:,} MiB are left"
    why = what.removeprefix("no memory is left: ")
    raise CorpusError(f"{problem}: {why}", hint=f"{hint}; {MEMORY_HINT}")
