"""The HTTP slot and the embeddings server, with answers from a table and from a real local server."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from autoresearch.benches.research.retrievers import http as http_module
from autoresearch.benches.research.retrievers import post
from autoresearch.benches.research.retrievers.corpus import Corpus
from autoresearch.benches.research.retrievers.embeddings import Embeddings
from autoresearch.benches.research.retrievers.http import HttpRetriever, contents_text
from autoresearch.benches.research.retrievers.port import Document, RetrieverFailed
from autoresearch.benches.research.retrievers.post import request_json


class Server:
    """Answers each request with the next of ``answers`` (status and body); the last one stays."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.requests: list[Any] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self._answer()

            def do_GET(self) -> None:
                outer.requests.append(None)
                self._answer()

            def _answer(self) -> None:
                status, body = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if status in (302, 307):
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/search"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def ask(server: Server, **more: Any) -> Any:
    return request_json(server.url, {"query": "x"}, wait=lambda _s: None, **more)


def test_the_slot_of_the_bench(server: Server) -> None:
    paper = {
        "arxiv_id": "arXiv:2204.00001v2",
        "title": "T",
        "authors": ["A", "B"],
        "tldr": "Short.",
        "date": "2022-04-01",
        "contents": [{"section_contents": ["One.", "Two."]}],
    }
    server.answers = [(200, json.dumps({"result": [paper, paper, {"arxiv_id": "x"}]}).encode())]
    found = HttpRetriever("http:x", server.url).search("query", 2)
    assert found == (Document("2204.00001", "T", "Short.\nOne.\nTwo.", ("A", "B"), "2022-04-01"), Document("x"))
    assert server.requests == [{"query": "query", "top_k": 2, "return_contents": True}]
    assert HttpRetriever("http:x", server.url).has(found[0].paper) is None


def test_more_than_asked_for_is_cut_off(server: Server) -> None:
    server.answers = [(200, json.dumps({"result": [{"title": f"T{n}"} for n in range(9)]}).encode())]
    assert len(HttpRetriever("", server.url).search("q", 3)) == 3


@pytest.mark.parametrize(
    "answer",
    [[], {}, {"result": None}, {"result": {}}, {"result": [1]}, {"result": [{}]}, {"result": [{"title": 7}]}],
)
def test_another_shape_is_a_malformed_response(server: Server, answer: Any) -> None:
    server.answers = [(200, json.dumps(answer).encode())]
    with pytest.raises(RetrieverFailed) as caught:
        HttpRetriever("", server.url).search("q", 3)
    assert (caught.value.cause, caught.value.is_refusal) == ("malformed_response", False)


@pytest.mark.parametrize(
    ("contents", "text"),
    [
        (None, ""),
        ("a", "a"),
        (["a", "b"], "a\nb"),
        ([{"section_contents": ["a", ["b"]]}, "c"], "a\nb\nc"),
        ([1, {"x": None}], ""),
    ],
)
def test_contents_of_any_depth(contents: Any, text: str) -> None:
    assert contents_text(contents) == text


@pytest.mark.parametrize(
    ("status", "cause", "is_refusal", "requests"),
    [
        (500, "server_error", False, 3),
        (503, "server_error", False, 3),
        (429, "rate_limited", False, 3),
        (401, "request_rejected", False, 3),
        (404, "request_rejected", False, 3),
        (307, "request_rejected", False, 3),
        (422, "request_rejected", True, 1),
        (400, "request_rejected", True, 1),
    ],
)
def test_a_status_is_classified(server: Server, status: int, cause: str, is_refusal: bool, requests: int) -> None:
    server.answers = [(status, b"why \x00\xff")]
    with pytest.raises(RetrieverFailed) as caught:
        ask(server)
    assert (caught.value.cause, caught.value.is_refusal, len(server.requests)) == (cause, is_refusal, requests)
    assert f"HTTP {status}" in caught.value.detail
    assert caught.value.detail.isprintable()


def test_a_failure_that_passes_is_tried_again(server: Server) -> None:
    server.answers = [(500, b""), (200, b"<html>"), (200, b"[1]")]
    assert ask(server) == [1]


@pytest.mark.parametrize("body", [b"<html>", b"\xff", b'{"a": NaN}', b"", b"[" * 100_000])
def test_what_is_not_json_is_malformed(server: Server, body: bytes) -> None:
    server.answers = [(200, body)]
    with pytest.raises(RetrieverFailed, match="is not JSON"):
        ask(server)


def test_a_huge_answer_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post, "MAX_BYTES", 1000)
    server.answers = [(200, b" " * 5000)]
    with pytest.raises(RetrieverFailed, match="answers more than"):
        ask(server)


def test_no_server() -> None:
    with pytest.raises(RetrieverFailed) as caught:
        request_json("http://127.0.0.1:1/x", {}, wait=lambda _s: None)
    assert caught.value.cause == "unreachable"


def test_a_retriever_uses_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "request_json", lambda url, payload: {"result": [{"title": url}]})
    assert HttpRetriever("", "http://h/x").search("q", 1)[0].title == "http://h/x"
    assert HttpRetriever("", "http://h/x").search("q", 0) == ()


# Embeddings.

WORDS = ("cat", "dog", "bird")


class FakeEmbeddings:
    """Counts three words; answers in the wrong order, as servers may."""

    def __init__(self, answer: Any = None) -> None:
        self.answer, self.inputs = answer, []

    def __call__(self, url: str, payload: Any) -> Any:
        if payload is None:
            return {"data": [{"id": "model-a"}]}
        assert url == "http://h/v1/embeddings"
        assert payload["model"] == "model-a"
        self.inputs.append(payload["input"])
        if self.answer is not None:
            return self.answer
        items = [
            {"index": i, "embedding": [float(text.count(word)) + 0.01 for word in WORDS]}
            for i, text in enumerate(payload["input"])
        ]
        return {"data": items[::-1]}


ANIMALS = Corpus((Document("1", "", "cat cat"), Document("2", "Dogs", "dog"), Document("3", "", "bird and dog")))


def embeddings(tmp_path: Path, request: Any) -> Embeddings:
    return Embeddings("embeddings:x", ANIMALS, tmp_path, "http://h", request)


def test_the_most_similar_documents_come_first(tmp_path: Path) -> None:
    fake = FakeEmbeddings()
    retriever = embeddings(tmp_path, fake)
    assert [d.id for d in retriever.search("a dog", 2)] == ["2", "3"]
    assert retriever.search("a cat", 9)[0].id == "1"
    assert fake.inputs == [["cat cat", "Dogs\ndog", "bird and dog"], ["a dog"], ["a cat"]]
    assert retriever.has(ANIMALS.documents[0].paper) is True


def test_vectors_are_kept_by_the_hash_of_the_corpus(tmp_path: Path) -> None:
    embeddings(tmp_path, FakeEmbeddings()).search("dog", 1)
    (file,) = tmp_path.glob("embeddings-*.npy")
    second = FakeEmbeddings()
    assert embeddings(tmp_path, second).search("dog", 1)[0].id == "2"
    assert second.inputs == [["dog"]]
    file.write_bytes(b"damaged")
    third = FakeEmbeddings()
    embeddings(tmp_path, third).search("dog", 1)
    assert len(third.inputs) == 2
    other = Corpus((*ANIMALS.documents[:2], Document("3", "", "changed")))
    Embeddings("x", other, tmp_path, "http://h/v1", FakeEmbeddings()).search("dog", 1)
    assert len(list(tmp_path.glob("embeddings-*.npy"))) == 2


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    assert embeddings(tmp_path / "missing" / "folder", FakeEmbeddings()).search("dog", 1)[0].id == "2"


VECTOR = {"index": 0, "embedding": [1.0, 2.0]}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": None},
        {"data": [VECTOR]},
        {"data": [VECTOR, VECTOR, VECTOR]},
        {"data": [VECTOR, {"index": 1, "embedding": [1.0]}, {"index": 2, "embedding": [1.0, 1.0]}]},
        {"data": [VECTOR, {"index": 1, "embedding": "AAAA"}, {"index": 2, "embedding": [1.0, 1.0]}]},
        {"data": [VECTOR, {"index": 1, "embedding": [0.0, 0.0]}, {"index": 2, "embedding": [1.0, 1.0]}]},
        {"data": [VECTOR, {"index": 1, "embedding": [math.inf, 0.0]}, {"index": 2, "embedding": [1.0, 1.0]}]},
        {"data": [VECTOR, {"index": 1, "embedding": [None, 0.0]}, {"index": 2, "embedding": [1.0, 1.0]}]},
        {"data": [VECTOR, {"index": 9, "embedding": [1.0, 0.0]}, {"index": 2, "embedding": [1.0, 1.0]}]},
        {"data": [VECTOR, 7, 8]},
    ],
)
def test_vectors_of_another_form_are_malformed(tmp_path: Path, answer: Any) -> None:
    with pytest.raises(RetrieverFailed) as caught:
        embeddings(tmp_path, FakeEmbeddings(answer)).search("dog", 1)
    assert caught.value.cause == "malformed_response"


@pytest.mark.parametrize("listed", [{}, {"data": []}, {"data": [7]}, {"data": [{"id": None}]}, []])
def test_a_server_that_lists_no_model(tmp_path: Path, listed: Any) -> None:
    with pytest.raises(RetrieverFailed, match="lists no model"):
        embeddings(tmp_path, lambda url, payload: listed).search("dog", 1)
