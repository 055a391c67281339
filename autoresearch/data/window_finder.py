"""Finds windows of 64 bytes of one text in another, by their hashes; white space is removed from both.

The hash is a polynomial of 64 bits, so that all windows of a block cost a few passes of numpy over it.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

WINDOW_BYTES = 64
BLOCK_BYTES = 1 << 16  # hashed at a time: fits into a core's cache
MOST_FILTER_BITS = 26
WHITE_SPACE = b" \t\n\r\v\f"
MULTIPLIER = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64


class Compared(NamedTuple):
    """A block of train: the windows of validation in it, and its first and last bytes, less than a window."""

    found: NDArray[np.intp]
    first: bytes
    last: bytes


class WindowFinder:
    """Finds windows of validation in text. ``candidates`` is a filter by the first bits of their sorted ``hashes``."""

    def __init__(self, hashes: Hashes, candidates: NDArray[np.bool_] | None = None) -> None:
        self._hashes = hashes
        self._candidates = _candidates(hashes) if candidates is None else candidates
        self._shift = np.uint64(65 - len(self._candidates).bit_length())
        self._hasher = WindowHasher()

    def write(self, file: IO[bytes]) -> None:
        """Write both tables."""
        file.write(len(self._hashes).to_bytes(8, "little"))
        file.write(self._hashes.data)
        file.write(self._candidates.data)
        file.flush()

    @classmethod
    def open(cls, fd: int) -> WindowFinder:
        """Map both tables: processes share their memory."""
        tables = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
        count = int.from_bytes(tables[:8], "little")
        hashes = np.frombuffer(tables, np.uint64, count, 8)
        return cls(hashes, np.frombuffer(tables, bool, offset=8 + hashes.nbytes))

    def compare(self, pieces: Iterable[bytes]) -> Compared:
        """The windows of validation in consecutive pieces of text."""
        text = b"".join(piece.translate(None, WHITE_SPACE) for piece in pieces)
        return Compared(self.find(text), text[: WINDOW_BYTES - 1], text[1 - WINDOW_BYTES :])

    def find(self, text: bytes) -> NDArray[np.intp]:
        """The places in ``hashes`` of the windows of ``text``, which has no white space."""
        found = [np.zeros(0, np.intp)]
        if len(self._hashes):
            for start in range(0, len(text), BLOCK_BYTES):
                hashes = self._hasher.hashes(text[start : start + BLOCK_BYTES + WINDOW_BYTES - 1])
                hashes = hashes[self._candidates[hashes >> self._shift]]
                at = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
                found.append(np.unique(at[self._hashes[at] == hashes]))
        return np.concatenate(found)


def _candidates(hashes: Hashes) -> NDArray[np.bool_]:
    """A filter, because almost no window of train is one of validation."""
    bits = min(MOST_FILTER_BITS, max(10, len(hashes).bit_length() + 6))
    candidates = np.zeros(1 << bits, bool)
    candidates[hashes >> np.uint64(64 - bits)] = True
    return candidates


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
