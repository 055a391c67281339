"""What a bpe tokenizer is trained on: pieces spread evenly over train, and bounded, whatever its size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

SAMPLE_BYTES = 1 << 24  # the trainer's memory and time grow with the number of different words
LONG_RUN = re.compile(r"\S{1024}")


def spread_evenly(pieces: Iterable[bytes], size: int, most: int | None = None) -> Iterator[bytes]:
    """Pieces spread evenly over all ``size`` bytes, ``most`` bytes or a piece more; all if they are fewer."""
    most = SAMPLE_BYTES if most is None else most
    seen = taken = 0
    for piece in pieces:
        seen += len(piece)
        if taken * size <= (seen - len(piece)) * most or size <= most:
            taken += len(piece)
            yield piece


def cut_long_runs(text: str) -> Iterator[str]:
    """``text`` in parts, so that no run without white space is long: the trainer needs quadratic time for one."""
    start = 0
    for run in LONG_RUN.finditer(text):
        yield text[start : run.end()]
        start = run.end()
    yield text[start:]
