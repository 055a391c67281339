"""The text of a corpus before it is tokenized: spooled to a file, so that memory never holds all of it."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from autoresearch.data.document import Document

PIECE_BYTES = 1 << 18  # longer documents are tokenized in pieces
WORST_DOCUMENTS = 10  # of those with replacement characters, named in the manifest


class TextSpool:
    """The text of all documents, concatenated in one binary ``file``; memory holds 24 bytes per document."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._open: Document | None = None  # the last part of the document that is being added
        self._parts = 0
        self._end = 0
        self._replaced = 0
        self._blank = True
        self._text_digest = hashlib.sha256()
        self.ends = array("q")  # byte offset of the end of each document
        self.hashes = array("Q")  # two per document, 16 bytes of the SHA-256 of its text: equal for equal texts
        self.blank = 0  # documents of white space only, which are not kept
        self.replaced: dict[str, int] = {}  # the documents with the most replacement characters
        self.replaced_documents = 0
        self.replaced_characters = 0

    @property
    def size(self) -> int:
        """Total bytes of UTF-8 of the finished documents."""
        return self.ends[-1] if self.ends else 0

    @property
    def sha256(self) -> str:
        """Hash of every name and text, in order, each preceded by its length."""
        return self._digest.hexdigest()

    def add(self, part: Document) -> None:
        """Append a document, or a part that continues the last one. Raises ``OSError`` when the disk is full."""
        if not part.continues:
            self.finish()
            self._parts, self._replaced, self._blank, self._text_digest = 0, 0, True, hashlib.sha256()
        text = part.text.encode()
        self._file.write(text)
        self._text_digest.update(text)
        self._end += len(text)
        self._open = part
        self._parts += 1
        self._replaced += part.replaced
        self._blank = self._blank and not part.text.strip()

    def finish(self) -> None:
        """End the last document. A blank one is counted and taken back."""
        part, self._open = self._open, None
        if part is None:
            return
        if self._blank:
            self.blank += 1
            self._end = self.size
            self._file.seek(self._end)
            return
        name = part.name.encode()
        self._digest.update(len(name).to_bytes(8, "little") + name)
        self._digest.update((self._end - self.size).to_bytes(8, "little"))
        if self._parts == 1:
            self._digest.update(part.text.encode())
        else:
            for start in range(self.size, self._end, PIECE_BYTES):
                self._digest.update(self.read(start, min(start + PIECE_BYTES, self._end)))
        self.ends.append(self._end)
        self.hashes.frombytes(self._text_digest.digest()[:16])
        self._count_replaced(part.name)

    def _count_replaced(self, name: str) -> None:
        if not self._replaced:
            return
        self.replaced_documents += 1
        self.replaced_characters += self._replaced
        self.replaced[name] = self.replaced.get(name, 0) + self._replaced
        if len(self.replaced) > WORST_DOCUMENTS:
            del self.replaced[min(reversed(self.replaced), key=self.replaced.__getitem__)]

    def read(self, start: int, end: int) -> bytes:
        """The bytes from ``start`` up to ``end``."""
        self._file.seek(start)
        return self._file.read(end - start)

    def pieces(
        self, ranges: Iterable[tuple[int, int]], boundary: Callable[[bytes], int] = lambda _block: 0
    ) -> Iterator[tuple[bool, bytes]]:
        """The text of each range in bounded pieces of whole characters; True with the first piece of a range.

        ``boundary`` returns where a block should be cut, or 0 if there is no such place.
        """
        for first, end in ranges:
            start = int(first)
            while start < end:
                block = self.read(start, min(end, start + PIECE_BYTES))
                piece = block if start + len(block) == end else block[: boundary(block) or cut_position(block)]
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
