"""The order of the training data, determined by the seed alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

GOLDEN_RATIO_CONJUGATE = (5**0.5 - 1) / 2
DATA_STREAM = 1  # separates this random stream from that of the initialisation


def batches(
    tokens: NDArray[np.integer], seed: int, batch_size: int, seq_len: int, skip: int = 0
) -> Iterator[NDArray[np.int64]]:
    """Endless batches ``(batch_size, seq_len + 1)`` of contiguous crops spread evenly over ``tokens``.

    The positions are a Kronecker sequence, frac(u + k * golden ratio), with u drawn from the seed: every stretch of it
    covers the whole corpus evenly, so seeds differ less than with independent draws (docs/decisions.md). The k-th
    sequence of a seed starts at the same position of the corpus for every batch_size and seq_len (to within the length
    of a crop), so that a candidate and its baseline with one seed read as much of the same text as possible. ``skip``
    omits the first batches at no cost. Raises ``ValueError`` if the split is shorter than one crop.
    """
    last = len(tokens) - seq_len - 1
    if last < 0:
        raise ValueError(f"the training split has {len(tokens)} tokens, fewer than one sequence of {seq_len} + 1")
    offset = np.random.Generator(np.random.PCG64([seed, DATA_STREAM])).random()
    within = np.arange(seq_len + 1)
    for first in itertools.count(skip * batch_size, batch_size):
        places = (offset + np.arange(first, first + batch_size) * GOLDEN_RATIO_CONJUGATE) % 1.0
        starts = np.minimum((places * (last + 1)).astype(np.int64), last)
        yield tokens[starts[:, None] + within].astype(np.int64)
