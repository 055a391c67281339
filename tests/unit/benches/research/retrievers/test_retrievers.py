"""Retrievers: BM25 against its formula, fusion, and the command line's names of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.research.papers import Paper
from autoresearch.benches.research.retrievers.bm25 import Bm25
from autoresearch.benches.research.retrievers.corpus import Corpus, load_corpus
from autoresearch.benches.research.retrievers.fusion import Fusion
from autoresearch.benches.research.retrievers.port import Document, distinct
from autoresearch.benches.research.retrievers.spec import RetrieverSpec, build_retriever, load_corpora, parse_spec
from autoresearch.errors import ConfigError, CorpusError
from tests.research_world import TableRetriever, documents

TEXTS = {
    "d1": "cat sat mat",
    "d2": "cat cat dog",
    "d3": "bird flies high above clouds",
    "d4": "dog chases bird bird",
}


def corpus_file(path: Path, *lines: Any) -> Path:
    file = path / "corpus.jsonl"
    file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return file


def small() -> Corpus:
    return Corpus(tuple(Document(identity, "", text) for identity, text in TEXTS.items()))


def found(retriever: Any, query: str, top_k: int = 10) -> list[str]:
    return [document.id for document in retriever.search(query, top_k)]


def test_bm25_ranks_as_its_formula_says() -> None:
    """Lucene's BM25 by hand: ln(1 + (N - n + 0.5) / (n + 0.5)) tf / (tf + k1 (1 - b + b L / mean L))."""
    words = {identity: text.split() for identity, text in TEXTS.items()}
    mean = sum(map(len, words.values())) / len(words)

    def score(document: str, query: str) -> float:
        total = 0.0
        for word in query.split():
            n = sum(word in w for w in words.values())
            tf = words[document].count(word)
            idf = math.log(1 + (len(words) - n + 0.5) / (n + 0.5))
            total += idf * tf / (tf + 1.5 * (1 - 0.75 + 0.75 * len(words[document]) / mean))
        return total

    retriever = Bm25("bm25", small())
    for query in ("cat dog", "bird", "cat bird", "dog mat"):
        expected = sorted((d for d in TEXTS if score(d, query) > 0), key=lambda d: -score(d, query))
        assert found(retriever, query) == expected


def test_bm25_returns_nothing_for_words_that_no_document_has() -> None:
    retriever = Bm25("bm25", small())
    assert found(retriever, "zebra") == found(retriever, "the of and") == found(retriever, "") == []
    assert found(retriever, "cat", 1) == ["d2"]
    assert found(retriever, "cat", 0) == []
    assert len(found(retriever, "cat dog bird", 1000)) == 4


def test_bm25_of_documents_without_a_word() -> None:
    assert found(Bm25("bm25", Corpus((Document("d1", "a", "!"),))), "a") == []


def test_equal_scores_are_in_the_order_of_the_file() -> None:
    corpus = Corpus(tuple(Document(f"d{n}", "", "cat") for n in range(30)))
    assert found(Bm25("bm25", corpus), "cat", 30) == [f"d{n}" for n in range(30)]


def test_a_corpus_knows_its_papers() -> None:
    corpus = Corpus((Document("2204.00001", "One Title That Is Long Enough", "x"), Document("d2", "Two", "y")))
    assert corpus.has(Paper("2204.00001"))
    assert corpus.has(Paper("", "two"))
    assert corpus.has(Paper("", "One title that is long ..."))
    assert corpus.has(Paper("https://example.org/x", "Two")) is False  # ids of one kind decide
    assert corpus.has(Paper("2204.00009", "Two"))  # ids of two kinds do not
    assert not corpus.has(Paper("2204.00009", "Three"))
    assert not corpus.has(Paper("", ""))


def test_a_corpus_is_read(tmp_path: Path) -> None:
    file = corpus_file(
        tmp_path,
        {
            "id": "arXiv:2204.00001v2",
            "title": "T",
            "text": "x",
            "authors": ["A", "B"],
            "date": "2022-04-01",
            "url": "u",
        },
        {"id": "d2", "text": "only text"},
        {"id": "d3", "title": "Only title", "text": ""},
        {"id": "d4", "title": None, "text": "y"},
    )
    corpus = load_corpus(file)
    assert corpus.documents[0] == Document("2204.00001", "T", "x", ("A", "B"), "2022-04-01")
    assert [document.id for document in corpus.documents] == ["2204.00001", "d2", "d3", "d4"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "has no document"),
        ([{"id": "a", "text": "x"}, {"id": " a ", "text": "y"}], "line 2: the id 'a' is that of line 1"),
        ([{"id": "2204.00001", "text": "x"}, {"id": "2204.00001v1", "text": "y"}], "line 2"),
        ([{"id": 7, "text": "x"}], "line 1: id: a text is expected, not 7"),
        ([{"text": "x"}], "line 1: id: a text is expected, not None"),
        ([{"id": "", "text": "x"}], "line 1: id is empty"),
        ([{"id": "a", "text": 3}], "line 1: text: a text is expected, not 3"),
        ([{"id": "a"}], "line 1: neither title nor text has a word"),
        (["[]"], "line 1: a JSON object is expected"),
        (["{"], "line 1: Expecting"),
    ],
)
def test_a_bad_corpus_names_the_line(tmp_path: Path, lines: list[Any], message: str) -> None:
    with pytest.raises(CorpusError) as caught:
        load_corpus(corpus_file(tmp_path, *lines))
    assert message in str(caught.value)


def test_the_hash_of_a_corpus_is_that_of_its_texts() -> None:
    assert small().sha256 == small().sha256
    changed = Corpus((*small().documents[:-1], Document("d4", "", "dog chases bird")))
    assert changed.sha256 != small().sha256
    assert Corpus((Document("a", "b", "c"),)).sha256 != Corpus((Document("a", "bc", ""),)).sha256


def test_reciprocal_rank_fusion_by_hand() -> None:
    """Paper 2: 1/62 + 1/61. Paper 1: 1/61. Paper 4: 1/62. Paper 3: 1/63."""
    one = TableRetriever({"q": documents(1, 2, 3)}, [d.paper for d in documents(1, 2, 3)], "one")
    two = TableRetriever({"q": documents(2, 4)}, None, "two")
    fusion = Fusion([one, two])
    assert found(fusion, "q") == [f"2204.0000{n}" for n in (2, 1, 4, 3)]
    assert found(fusion, "q", 1) == ["2204.00002"]
    assert fusion.name == "one + two"
    assert one.queries == [("q", 50), ("q", 50)]


def test_a_tie_of_fusion_is_decided_by_the_better_rank_then_by_order() -> None:
    one, two = TableRetriever({"q": documents(1, 3)}), TableRetriever({"q": documents(2, 4)})
    assert found(Fusion([one, two]), "q") == [f"2204.0000{n}" for n in (1, 2, 3, 4)]


def test_what_a_fusion_has() -> None:
    known, unknown = TableRetriever({}, [Paper("a")]), TableRetriever({}, None)
    assert Fusion([known, unknown]).has(Paper("a")) is True
    assert Fusion([known, unknown]).has(Paper("b")) is None
    assert Fusion([known]).has(Paper("b")) is False


def test_distinct_keeps_the_first_of_each_paper_in_order() -> None:
    a, b, again = Document("1", "x"), Document("2", "y"), Document("1", "z")
    assert distinct([a, b, again, b]) == (a, b)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("bm25:/data/c.jsonl", RetrieverSpec("bm25", "/data/c.jsonl")),
        ("http:http://localhost:9000/search", RetrieverSpec("http", "", "http://localhost:9000/search")),
        ("http:https://host/search?x=1", RetrieverSpec("http", "", "https://host/search?x=1")),
        ("http://localhost:9000/search", RetrieverSpec("http", "", "http://localhost:9000/search")),
        ("https://host/search", RetrieverSpec("http", "", "https://host/search")),
        (
            "embeddings:/data/a@b.jsonl@http://localhost:8001/v1",
            RetrieverSpec("embeddings", "/data/a@b.jsonl", "http://localhost:8001/v1"),
        ),
    ],
)
def test_a_retriever_is_named_on_the_command_line(text: str, spec: RetrieverSpec) -> None:
    assert parse_spec(text) == spec
    assert parse_spec(spec.text) == spec


def test_a_relative_file_is_that_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_spec("bm25:c.jsonl").file == str(tmp_path / "c.jsonl")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "bm25",
            "bm25:",
            "http:",
            "http:localhost",
            "http:ftp://x/y",
            "http:http://",
            "http:http://a b/",
            "dense:x",
        ),
        *(
            "dense:x",
            "embeddings:c.jsonl",
            "embeddings:@http://h/v1",
            "embeddings:c.jsonl@localhost",
            "http:http://h:99999/",
        ),
    ],
)
def test_what_is_not_a_retriever_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_spec(text)


def test_a_retriever_is_built_and_several_are_fused(tmp_path: Path) -> None:
    file = corpus_file(tmp_path, *({"id": i, "text": t} for i, t in TEXTS.items()))
    specs = [parse_spec(f"bm25:{file}"), parse_spec("http:http://localhost:1/search")]
    corpora = load_corpora(specs)
    assert list(corpora) == [str(file)]
    assert found(build_retriever(specs[:1], corpora), "cat") == ["d2", "d1"]
    assert build_retriever(specs, corpora).name == f"bm25:{file.name} + http:http://localhost:1/search"
