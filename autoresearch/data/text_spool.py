"""The text of a corpus before it is tokenized: spooled to a file, so that memory never holds all of it."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from typing import IO

from autoresearch.data.sources import Document

PIECE_BYTES = 1 << 18  # longer documents are tokenized in pieces


class TextSpool:
    """The text of all documents, concatenated in one binary ``file``; memory holds 16 bytes per document."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.ends = array("q")  # byte offset of the end of each document
        self.draws = array("Q")  # 8 bytes of the SHA-256 of each text: pseudo-random, equal for equal texts
        self.replaced = 0  # documents with bytes that could not be decoded

    @property
    def size(self) -> int:
        """Total bytes of UTF-8."""
        return self.ends[-1] if self.ends else 0

    @property
    def sha256(self) -> str:
        """Hash of every name and text, in order, each preceded by its length."""
        return self._digest.hexdigest()

    def add(self, document: Document) -> None:
        """Append one document. Raises ``OSError`` when the disk is full."""
        name, text = document.name.encode(), document.text.encode()
        for part in (name, text):
            self._digest.update(len(part).to_bytes(8, "little") + part)
        self._file.write(text)
        self.ends.append(self.size + len(text))
        self.draws.append(int.from_bytes(hashlib.sha256(text).digest()[:8], "little"))
        self.replaced += document.replaced

    def read(self, start: int, end: int) -> bytes:
        """The bytes from ``start`` up to ``end``."""
        self._file.seek(start)
        return self._file.read(end - start)

    def pieces(self, ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[bool, bytes]]:
        """The text of each range in bounded pieces of whole characters; True with the first piece of a range."""
        for first, end in ranges:
            start = int(first)
            while start < end:
                block = self.read(start, min(end, start + PIECE_BYTES))
                piece = block if start + len(block) == end else block[: cut_position(block)]
                yield bool(start == first), piece
                start += len(piece)


def cut_position(block: bytes) -> int:
    """Where to cut a block of UTF-8, as a byte offset: after its last newline, or else before its last character."""
    line_end = block.rfind(b"\n") + 1
    if line_end:
        return line_end
    character = max(len(block) - 1, 0)
    while character and block[character] & 0xC0 == 0x80:  # 10xxxxxx is a continuation byte
        character -= 1
    return character
