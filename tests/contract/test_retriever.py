"""Every retriever under the contract of its port."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.research.retrievers import http
from autoresearch.benches.research.retrievers.bm25 import Bm25
from autoresearch.benches.research.retrievers.corpus import Corpus
from autoresearch.benches.research.retrievers.embeddings import Embeddings
from autoresearch.benches.research.retrievers.fusion import Fusion
from autoresearch.benches.research.retrievers.http import HttpRetriever
from autoresearch.benches.research.retrievers.port import Document
from autoresearch.testing.contracts.retriever import KNOWN, RetrieverContract

WORDS = ("token", "pyramid", "lane", "owl")


def embed(url: str, payload: Any) -> Any:
    """A server that counts four words."""
    if payload is None:
        return {"data": [{"id": "words"}]}
    vectors = [[text.lower().count(word) + 0.01 for word in WORDS] for text in payload["input"]]
    return {"data": [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)]}


def answer(url: str, payload: Any) -> Any:
    """A service that returns the documents with most words of the query, one of them twice."""

    def score(document: Document) -> int:
        text = f"{document.title} {document.text}".lower()
        return sum(word in text for word in payload["query"].lower().split())

    found = sorted((d for d in KNOWN if score(d)), key=lambda d: -score(d))
    items = [{"arxiv_id": d.id, "title": d.title, "contents": d.text} for d in found]
    return {"result": items + items[:1]}


class TestBm25(RetrieverContract):
    @pytest.fixture
    def retriever(self) -> Bm25:
        return Bm25("bm25:x", Corpus(KNOWN))


class TestEmbeddings(RetrieverContract):
    @pytest.fixture
    def retriever(self, tmp_path: Path) -> Embeddings:
        return Embeddings("embeddings:x", Corpus(KNOWN), tmp_path, "http://h", embed)


class TestHttp(RetrieverContract):
    @pytest.fixture
    def retriever(self, monkeypatch: pytest.MonkeyPatch) -> HttpRetriever:
        monkeypatch.setattr(http, "request_json", answer)
        return HttpRetriever("http:x", "http://h/search")


class TestFusion(RetrieverContract):
    @pytest.fixture
    def retriever(self, tmp_path: Path) -> Fusion:
        corpus = Corpus(KNOWN)
        return Fusion([Bm25("bm25:x", corpus), Embeddings("embeddings:x", corpus, tmp_path, "http://h", embed)])
