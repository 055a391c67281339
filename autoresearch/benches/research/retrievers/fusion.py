"""Reciprocal rank fusion of several retrievers (Cormack, Clarke and Buettcher, SIGIR 2009)."""

from __future__ import annotations

from collections.abc import Sequence

from autoresearch.benches.research.papers import Paper
from autoresearch.benches.research.retrievers.port import Document, Retriever

RRF_K = 60  # of the paper
DEPTH = 50  # results of each retriever that are fused


class Fusion:
    """Scores a document by the sum of 1 / (60 + rank) over the retrievers that return it, ranks from 1.

    Equal scores: the better single rank first, then the order of the retrievers. Texts are those of the first retriever
    that returns the document.
    """

    def __init__(self, retrievers: Sequence[Retriever]) -> None:
        self._retrievers = tuple(retrievers)
        self.name = " + ".join(retriever.name for retriever in self._retrievers)

    def search(self, query: str, top_k: int) -> tuple[Document, ...]:
        """Fused results; a failure of one retriever is a failure of the search."""
        scores: dict[str, float] = {}
        best: dict[str, int] = {}
        documents: dict[str, Document] = {}
        for retriever in self._retrievers:
            for rank, document in enumerate(retriever.search(query, max(top_k, DEPTH)), 1):
                key = document.paper.key
                scores[key] = scores.get(key, 0.0) + 1 / (RRF_K + rank)
                best[key] = min(rank, best.get(key, rank))
                documents.setdefault(key, document)
        order = sorted(documents, key=lambda key: (-scores[key], best[key]))
        return tuple(documents[key] for key in order[: max(top_k, 0)])

    def has(self, paper: Paper) -> bool | None:
        """Whether one of them has the paper; unknown where one of them cannot say and none has it."""
        answers = [retriever.has(paper) for retriever in self._retrievers]
        return True if True in answers else None if None in answers else False
