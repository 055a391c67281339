"""What the agent needs of a retriever, and what a search returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from autoresearch.benches.research.papers import Paper


@dataclass(frozen=True, slots=True)
class Document:
    """One search result. ``id`` is normalised and may be empty, where a retriever has none; so may all other fields."""

    id: str
    title: str = ""
    text: str = ""
    authors: tuple[str, ...] = ()
    date: str = ""

    @property
    def paper(self) -> Paper:
        """What identifies it."""
        return Paper(self.id, self.title)


class RetrieverFailed(Exception):
    """A search without a result because of the retriever.

    ``cause`` is the value of a ``Classification`` of core/llm_calls.py. ``is_refusal``: it refused this query, and
    would refuse it again; anything else is a failure of the infrastructure.
    """

    def __init__(self, cause: str, detail: str, *, is_refusal: bool = False) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause, self.detail, self.is_refusal = cause, detail, is_refusal


class Retriever(Protocol):
    """Finds documents; used by several threads at once."""

    @property
    def name(self) -> str:
        """As given on the command line."""
        ...

    def search(self, query: str, top_k: int) -> tuple[Document, ...]:
        """At most ``top_k`` documents, the best first, each once. Raises ``RetrieverFailed``."""
        ...

    def has(self, paper: Paper) -> bool | None:
        """Whether the paper is in the index; ``None`` where that cannot be known."""
        ...


def distinct(documents: Sequence[Document]) -> tuple[Document, ...]:
    """The documents in their order, each paper once: its first occurrence stays."""
    first: dict[str, Document] = {}
    for document in documents:
        first.setdefault(document.paper.key, document)
    return tuple(first.values())
