"""How much of the validation text occurs verbatim in the train text, by windows of bytes.

White space is removed first, so that other line ends or indents hide nothing. A window of validation counts as shared
if its hash (64 bits, polynomial) occurs at any place of the train text. Memory is bounded, whatever the size.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO

import numpy as np
from numpy.typing import NDArray

from autoresearch.data.corpus import OverlapInfo
from autoresearch.data.window_finder import WHITE_SPACE, WINDOW_BYTES, Compared, Hashes, WindowFinder, WindowHasher

SMALLEST_STRIDE = 16  # bytes between the beginnings of two windows of validation; longer where there is more text
MOST_WINDOWS = 1 << 20  # of validation, about


class Comparison:
    """The windows of validation, and which of them were found in train so far.

    Train may be compared in blocks, in other processes: ``add`` takes their results in the order of the text.
    """

    def __init__(self, val: Iterable[tuple[bool, bytes]], val_bytes: int) -> None:
        """Take the pieces of validation; True: a document begins here."""
        stride = max(SMALLEST_STRIDE, -(-val_bytes // MOST_WINDOWS))
        hashes, self._documents = _validation_windows(WindowHasher(), val, stride)
        self._hashes, self._which = np.unique(hashes, return_inverse=True)
        self._found = np.zeros(len(self._hashes), bool)
        self.finder = WindowFinder(self._hashes)
        self._before = b""  # the last bytes of train, which begin windows that end in the next block

    def share_finder(self, file: IO[bytes]) -> None:
        """Write what ``WindowFinder.open`` reads, and use it here too: all processes together have one copy."""
        self.finder.write(file)
        self.finder = WindowFinder.open(file.fileno())

    def add(self, compared: Compared) -> None:
        """Add the next block of train."""
        self._found[compared.found] = True
        self._found[self.finder.find(self._before + compared.first)] = True
        self._before = (self._before + compared.last)[1 - WINDOW_BYTES :]

    def result(self) -> OverlapInfo:
        """The overlap with the train text that was added."""
        found = self._found[self._which]
        per_document = np.bincount(self._documents)
        found_per_document = np.bincount(self._documents, weights=found, minlength=len(per_document))
        return OverlapInfo(
            window_bytes=WINDOW_BYTES,
            windows=len(self._which),
            shared_windows=int(found.sum()),
            documents=int((per_document > 0).sum()),
            shared_documents=int((found_per_document * 2 >= np.maximum(per_document, 1)).sum()),
            contained_documents=int((found_per_document >= np.maximum(per_document, 1)).sum()),
        )


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
