"""Dense retrieval over a user's own corpus with the vectors of any ``/v1/embeddings`` server."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from autoresearch.benches.jsonl import shown
from autoresearch.benches.research.papers import Paper
from autoresearch.benches.research.retrievers.corpus import Corpus
from autoresearch.benches.research.retrievers.port import Document, RetrieverFailed
from autoresearch.benches.research.retrievers.post import request_json
from autoresearch.core.llm_calls import Classification
from autoresearch.errors import missing_extra
from autoresearch.storage.files import atomic_write

BATCH = 32  # texts of one request
MAX_TEXT_CHARS = 6000  # of a document that are embedded: servers refuse what exceeds the model's context
CACHE_VERSION = 1

Request = Callable[..., Any]


class Embeddings:
    """Cosine similarity of the query with the first 6,000 characters of each document, title first.

    The vectors are computed at the first search, and kept in a file beside the corpus whose name has the hash of
    corpus, model and this format: another corpus or model has another file. Where that directory is read-only they are
    kept in memory only. Equal similarities are in the order of the corpus.
    """

    def __init__(self, name: str, corpus: Corpus, cache_dir: Path, url: str, request: Request = request_json) -> None:
        """``url`` is the server's base, with or without ``/v1``. Raises ``MissingPackage`` without numpy."""
        try:
            import numpy as np
        except ImportError as e:
            raise missing_extra("--retriever embeddings", "numpy", "bench") from e
        base = url.rstrip("/")
        self.name, self._corpus, self._cache_dir = name, corpus, cache_dir
        self._base = base if base.endswith("/v1") else f"{base}/v1"
        self._np, self._request = np, request
        self._lock = threading.Lock()
        self._model: str | None = None
        self._vectors: Any = None

    def search(self, query: str, top_k: int) -> tuple[Document, ...]:
        """The most similar documents."""
        with self._lock:  # one thread computes the vectors of the corpus, and the others wait for them
            if self._vectors is None:
                self._vectors = self._corpus_vectors()
        if top_k < 1:
            return ()
        vector = self._embed([query[:MAX_TEXT_CHARS]])
        if vector.shape[1] != self._vectors.shape[1]:
            sizes = f"{vector.shape[1]} dimensions of the query, {self._vectors.shape[1]} of the corpus"
            raise RetrieverFailed(Classification.MALFORMED_RESPONSE, f"{self._base}: {sizes}")
        order = self._np.argsort(-(self._vectors @ vector[0]), kind="stable")[:top_k]
        return tuple(self._corpus.documents[i] for i in order.tolist())

    def has(self, paper: Paper) -> bool | None:
        """Whether the corpus has the paper."""
        return self._corpus.has(paper)

    def _corpus_vectors(self) -> Any:
        key = f"{CACHE_VERSION} {self._corpus.sha256} {MAX_TEXT_CHARS} {self._served_model()}"
        file = self._cache_dir / f"embeddings-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
        cached = self._cached(file)
        if cached is not None:
            return cached
        texts = [f"{document.title}\n{document.text}".strip()[:MAX_TEXT_CHARS] for document in self._corpus.documents]
        batches = [self._embed(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]
        if len({batch.shape[1] for batch in batches}) > 1:
            raise RetrieverFailed(Classification.MALFORMED_RESPONSE, f"{self._base}: vectors of several lengths")
        vectors = self._np.concatenate(batches)
        self._keep(file, vectors)
        return vectors

    def _cached(self, file: Path) -> Any:
        """The vectors of the file, or ``None`` where it is missing, damaged or of another shape."""
        try:
            vectors = self._np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        is_usable = (
            vectors.ndim == 2
            and vectors.shape[0] == len(self._corpus.documents)
            and vectors.dtype == self._np.float32
            and bool(self._np.isfinite(vectors).all())
        )
        return vectors if is_usable else None

    def _keep(self, file: Path, vectors: Any) -> None:
        import io

        buffer = io.BytesIO()
        self._np.save(buffer, vectors, allow_pickle=False)
        try:
            atomic_write(file, buffer.getvalue())
        except OSError:
            return  # read-only, or a full disk: the next run computes them again

    def _served_model(self) -> str:
        if self._model is None:
            answer = self._request(f"{self._base}/models", None)
            models = answer.get("data") if isinstance(answer, dict) else None
            first = models[0] if isinstance(models, list) and models else None
            name = first.get("id") if isinstance(first, dict) else None
            if not isinstance(name, str):
                detail = f"{self._base}/models lists no model: {shown(answer)}"
                raise RetrieverFailed(Classification.MALFORMED_RESPONSE, detail)
            self._model = name
        return self._model

    def _embed(self, texts: Sequence[str]) -> Any:
        """Unit vectors, one row for each text."""
        payload = {"model": self._served_model(), "input": list(texts), "encoding_format": "float"}
        answer = self._request(f"{self._base}/embeddings", payload)
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, list) or len(data) != len(texts):
            raise self._malformed(f"{shown(answer)} instead of {len(texts)} vectors")
        rows: list[Any] = [None] * len(texts)
        for position, item in enumerate(data):
            index = item.get("index", position) if isinstance(item, dict) else None
            if type(index) is not int or not 0 <= index < len(texts) or rows[index] is not None:
                raise self._malformed(f"an item with index {shown(index)}")
            rows[index] = self._row(item.get("embedding"))
        if len({len(row) for row in rows}) != 1:
            raise self._malformed("vectors of several lengths")
        return self._np.asarray(rows, dtype=self._np.float32)

    def _row(self, raw: object) -> list[float]:
        if not isinstance(raw, list) or not raw or not all(type(x) in (int, float) for x in raw):
            raise self._malformed(f"{shown(raw)} as a vector")
        try:
            norm = math.hypot(*raw)
        except OverflowError:
            norm = math.inf
        if not 0 < norm < math.inf:
            raise self._malformed(f"a vector of length {norm}")
        return [x / norm for x in raw]

    def _malformed(self, what: str) -> RetrieverFailed:
        return RetrieverFailed(Classification.MALFORMED_RESPONSE, f"{self._base}/embeddings answers {what}")
