"""A user's own corpus: JSON Lines of ``{"id", "title"?, "text"}``; ``authors`` and ``date`` are shown where given."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from autoresearch.benches.jsonl import read_objects, shown
from autoresearch.benches.research.papers import Paper, normalise_id, normalise_title, same_paper
from autoresearch.benches.research.retrievers.port import Document
from autoresearch.errors import CorpusError

FORMAT = 'a line of a corpus is {"id": text, "title": text (may be missing), "text": text}'
DATES = ("date", "pub_date")


@dataclass(frozen=True)
class Corpus:
    """All documents, in the order of the file."""

    documents: tuple[Document, ...]

    @cached_property
    def sha256(self) -> str:
        """Of ids, titles and texts in their order: what an index is built from."""
        digest = hashlib.sha256()
        for document in self.documents:
            for part in (document.id, document.title, document.text):
                data = part.encode()
                digest.update(len(data).to_bytes(8, "big") + data)
        return digest.hexdigest()

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(document.id for document in self.documents)

    @cached_property
    def _titles(self) -> dict[str, list[Paper]]:
        titles: dict[str, list[Paper]] = {}
        for document in self.documents:
            titles.setdefault(normalise_title(document.title).words, []).append(document.paper)
        return titles

    def has(self, paper: Paper) -> bool:
        """Whether a document is this paper: by id, and where ids cannot decide by title."""
        if paper.id and paper.id in self._ids:
            return True
        title = normalise_title(paper.title)
        if not title.words:
            return False
        if title.is_cut:
            return any(same_paper(paper, document.paper) for document in self.documents)
        return any(same_paper(paper, known) for known in self._titles.get(title.words, ()))


def load_corpus(file: Path) -> Corpus:
    """Read a corpus. Raises ``CorpusError`` with file, line and field."""
    lines: dict[str, int] = {}
    documents = []
    for number, line in read_objects(file, FORMAT):
        document = _document(file, number, line)
        first = lines.setdefault(document.id, number)
        if first != number:
            raise CorpusError(
                f"{file}: line {number}: the id {shown(document.id)} is that of line {first}", hint="give each id once"
            )
        documents.append(document)
    if not documents:
        raise CorpusError(f"{file} has no document", hint=FORMAT)
    return Corpus(tuple(documents))


def _document(file: Path, number: int, line: dict[str, Any]) -> Document:
    def text(key: str, *, default: str | None = None) -> str:
        value = line.get(key, default)
        value = default if value is None else value
        if not isinstance(value, str):
            raise CorpusError(f"{file}: line {number}: {key}: a text is expected, not {shown(value)}", hint=FORMAT)
        return value.strip()

    identity, title, body = normalise_id(text("id")), text("title", default=""), text("text", default="")
    if not identity:
        raise CorpusError(f"{file}: line {number}: id is empty", hint=FORMAT)
    if not title and not body:
        raise CorpusError(f"{file}: line {number}: neither title nor text has a word", hint=FORMAT)
    date = next((line[key] for key in DATES if isinstance(line.get(key), str)), "")
    raw = line.get("authors")
    authors = [raw] if isinstance(raw, str) else raw if isinstance(raw, list) else []
    return Document(identity, title, body, tuple(a for a in authors if isinstance(a, str)), date)
