"""A document, and what the reading of sources leaves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from autoresearch.data.decoding import PART_BYTES, replace_marks

NAMED = 10  # undecodable files that are named; the others are only counted


@dataclass(frozen=True, slots=True)
class Document:
    """One document, or a part of a long one. ``text`` always encodes as UTF-8.

    ``replaced``: how many U+FFFD stand for something that could not be decoded. ``continues``: not the first part.
    """

    name: str
    text: str
    replaced: int = 0
    continues: bool = False


@dataclass(slots=True)
class LeftOut:
    """What the reading of sources left out; complete when the last document has been read."""

    files: Counter[str] = field(default_factory=Counter)  # in folders, of kinds that are not read, by suffix
    undecodable: list[str] = field(default_factory=list)  # files in folders, the first NAMED of them
    undecodable_files: int = 0
    bad_lines: int = 0  # lines and rows without usable text, where the user chose to leave them out

    def add_undecodable(self, name: str) -> None:
        """Count a file whose bytes are not text."""
        self.undecodable_files += 1
        if len(self.undecodable) < NAMED:
            self.undecodable.append(name)


def split_document(name: str, text: str) -> Iterator[Document]:
    """A whole ``text`` as a document in bounded parts, without a leading byte order mark and lone surrogates."""
    name, _ = replace_marks(name)
    start = 1 if text.startswith("\ufeff") else 0
    for first in range(start, max(len(text), start + 1), PART_BYTES):
        clean, replaced = replace_marks(text[first : first + PART_BYTES])
        yield Document(name, clean, replaced, continues=first > start)


def describe_kinds(files: Mapping[str, int]) -> str:
    """Counts of files by suffix, the most frequent first: ``.csv 3, .json 1``."""
    return ", ".join(f"{kind} {count}" for kind, count in sorted(files.items(), key=lambda item: (-item[1], item[0])))
