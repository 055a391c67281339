"""How much of the validation text occurs verbatim in the train text, by windows of bytes.

White space is removed first, so that other line ends or indents hide nothing. A window of validation counts as shared
if its hash (64 bits, polynomial) occurs at any place of the train text. Memory is bounded, whatever the size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from autoresearch.data.corpus import OverlapInfo

Hashes = NDArray[np.uint64]

WINDOW_BYTES = 64
SMALLEST_STRIDE = 16  # bytes between the beginnings of two windows of validation; longer where there is more text
MOST_WINDOWS = 1 << 20  # of validation, about
BLOCK_BYTES = 1 << 18  # of train, hashed at a time: fits into a core's cache
MOST_FILTER_BITS = 26
WHITE_SPACE = b" \t\n\r\v\f"
MULTIPLIER = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64


def measure_overlap(val: Iterable[tuple[bool, bytes]], train: Iterable[bytes], val_bytes: int) -> OverlapInfo:
    """Compare the pieces of validation (True: a document begins here) with those of train."""
    hasher = WindowHasher()
    hashes, documents = _validation_windows(hasher, val, max(SMALLEST_STRIDE, -(-val_bytes // MOST_WINDOWS)))
    unique, which = np.unique(hashes, return_inverse=True)
    shared = _present(hasher, unique, train)[which] if len(unique) else np.zeros(0, bool)
    per_document = np.bincount(documents)
    shared_per_document = np.bincount(documents, weights=shared, minlength=len(per_document))
    return OverlapInfo(
        window_bytes=WINDOW_BYTES,
        windows=len(hashes),
        shared_windows=int(shared.sum()),
        documents=int((per_document > 0).sum()),
        shared_documents=int((shared_per_document * 2 >= np.maximum(per_document, 1)).sum()),
    )


class WindowHasher:
    """Hashes of every window of a block: sums of ``table[byte] * MULTIPLIER**place``, shifted to place 0."""

    def __init__(self) -> None:
        rng = np.random.Generator(np.random.PCG64(0))
        self._table = rng.integers(0, 1 << 64, 256, np.uint64)
        self._powers = _powers(MULTIPLIER, 0)
        self._inverses = _powers(pow(MULTIPLIER, -1, 1 << 64), 0)

    def hashes(self, block: bytes) -> Hashes:
        """The hash of the window at each place of ``block``; none if it is shorter than a window."""
        if len(block) < WINDOW_BYTES:
            return np.zeros(0, np.uint64)
        if len(block) > len(self._powers):
            self._powers = _powers(MULTIPLIER, len(block))
            self._inverses = _powers(pow(MULTIPLIER, -1, 1 << 64), len(block))
        sums = np.zeros(len(block) + 1, np.uint64)
        terms = self._table[np.frombuffer(block, np.uint8)]
        terms *= self._powers[: len(block)]
        np.cumsum(terms, out=sums[1:])
        found = sums[WINDOW_BYTES:] - sums[:-WINDOW_BYTES]
        found *= self._inverses[: len(found)]
        return found


def _powers(base: int, count: int) -> Hashes:
    powers = np.full(max(count, BLOCK_BYTES + WINDOW_BYTES), base, np.uint64)
    powers[0] = 1
    return np.cumprod(powers, dtype=np.uint64)


def _validation_windows(
    hasher: WindowHasher, pieces: Iterable[tuple[bool, bytes]], stride: int
) -> tuple[Hashes, NDArray[np.int64]]:
    """The hash and the number of the document of every ``stride``-th window of each piece."""
    hashes, counts, numbers = [np.zeros(0, np.uint64)], [0], [0]
    document = -1
    for begins, piece in pieces:
        document += begins
        found = hasher.hashes(piece.translate(None, WHITE_SPACE))[::stride].copy()
        hashes.append(found)
        counts.append(len(found))
        numbers.append(document)
    return np.concatenate(hashes), np.repeat(numbers, counts).astype(np.int64)


def _present(hasher: WindowHasher, unique: Hashes, train: Iterable[bytes]) -> NDArray[np.bool_]:
    """Which of the sorted hashes occur in train."""
    bits = min(MOST_FILTER_BITS, max(10, len(unique).bit_length() + 6))
    shift = np.uint64(64 - bits)
    candidates = np.zeros(1 << bits, bool)  # a filter: almost all places of train end here
    candidates[unique >> shift] = True
    present = np.zeros(len(unique), bool)
    for block in _blocks(train):
        hashes = hasher.hashes(block)
        hashes = hashes[candidates[hashes >> shift]]
        at = np.minimum(np.searchsorted(unique, hashes), len(unique) - 1)
        present[at[unique[at] == hashes]] = True
    return present


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces without white space, in blocks that overlap by all but one byte of a window."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        dense = piece.translate(None, WHITE_SPACE)
        waiting.append(dense)
        size += len(dense)
        if size >= BLOCK_BYTES:
            block = b"".join(waiting)
            yield block
            waiting = [block[1 - WINDOW_BYTES :]]
            size = len(waiting[0])
    if waiting:
        yield b"".join(waiting)
