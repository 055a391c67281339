"""BM25 over a user's own corpus, by bm25s (Robertson's formula as Lucene has it; k1 = 1.5, b = 0.75)."""

from __future__ import annotations

from autoresearch.benches.research.papers import Paper
from autoresearch.benches.research.retrievers.corpus import Corpus
from autoresearch.benches.research.retrievers.port import Document
from autoresearch.errors import missing_extra


class Bm25:
    """Words of two letters and more, in lower case, without English stop words; title and text are one document.

    A document that shares no word with the query is not returned. Equal scores are in the order of the file.
    """

    def __init__(self, name: str, corpus: Corpus) -> None:
        """Build the index. Raises ``MissingPackage`` without bm25s."""
        try:
            import bm25s
            import numpy as np
        except ImportError as e:
            raise missing_extra("--retriever bm25", "bm25s", "bench") from e
        self.name, self._corpus = name, corpus
        self._bm25s, self._np = bm25s, np
        words = self._words([f"{document.title}\n{document.text}" for document in corpus.documents])
        self._index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
        self._has_words = any(words)
        if self._has_words:
            self._index.index(words, show_progress=False)

    def _words(self, texts: list[str]) -> list[list[str]]:
        tokens = self._bm25s.tokenize(texts, stopwords="en", return_ids=False, show_progress=False)
        return [list(document) for document in tokens]

    def search(self, query: str, top_k: int) -> tuple[Document, ...]:
        """The documents with the highest scores above 0."""
        vocabulary = self._index.vocab_dict if self._has_words else {}
        known = [word for word in self._words([query])[0] if word in vocabulary]
        if not known or top_k < 1:
            return ()
        scores = self._index.get_scores(known)
        order = self._np.argsort(-scores, kind="stable")[:top_k]
        return tuple(self._corpus.documents[i] for i in order.tolist() if scores[i] > 0)

    def has(self, paper: Paper) -> bool | None:
        """Whether the corpus has the paper."""
        return self._corpus.has(paper)
