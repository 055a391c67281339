"""Pieces of text to the bytes of a token file: what one process does with one batch, whichever process that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autoresearch.data.tokenizer import Tokenizer
from autoresearch.data.window_finder import Compared, WindowFinder

Piece = tuple[bool, bytes]  # whether a document begins here, and its text or a piece of it


class Encoded(NamedTuple):
    """A batch: its ids, little-endian, and its comparison with validation where one was asked for."""

    ids: bytes
    compared: Compared | None


class PieceEncoder:
    """Encodes batches of pieces with a separator before each document. ``dtype`` is that of the token file."""

    def __init__(self, tokenizer: Tokenizer, dtype: str, finder: WindowFinder | None) -> None:
        self._tokenizer = tokenizer
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._separator = np.array([tokenizer.separator], self._dtype).tobytes()
        self._finder = finder

    def encode(self, batch: Sequence[Piece], compare: bool) -> Encoded:
        """The ids of a batch; with ``compare``, the windows of validation in its text."""
        texts = [text.decode() for _, text in batch]
        parts: list[bytes] = []
        for (opens, _), ids in zip(batch, self._tokenizer.encode_batch(texts), strict=True):
            if opens:
                parts.append(self._separator)
            parts.append(ids.astype(self._dtype).tobytes())
        compared = self._finder.compare(text for _, text in batch) if compare and self._finder else None
        return Encoded(b"".join(parts), compared)
