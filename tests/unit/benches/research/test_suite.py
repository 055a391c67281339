"""What suite research records of its retrievers."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from autoresearch.benches.research.suite import ResearchSuite
from autoresearch.errors import ConfigError, CorpusError
from tests.research_world import case_set, deep, run_of, wide


def options_of(*retrievers: str, top_k: int = 10) -> dict[str, object]:
    return ResearchSuite().options(argparse.Namespace(retriever=list(retrievers), top_k=top_k))


def corpus_in(folder: Path, text: str = "cats", name: str = "c.jsonl") -> Path:
    folder.mkdir()
    file = folder / name
    file.write_text(f'{{"id": "d1", "text": "{text}"}}\n')
    return file


def test_a_corpus_is_known_by_name_and_contents_not_by_its_folder(tmp_path: Path) -> None:
    here, elsewhere = corpus_in(tmp_path / "a"), corpus_in(tmp_path / "b")
    options = options_of(f"bm25:{here}")
    assert options == options_of(f"bm25:{elsewhere}")
    assert str(tmp_path) not in str(options)


def test_another_text_is_another_corpus(tmp_path: Path) -> None:
    one, two = corpus_in(tmp_path / "a"), corpus_in(tmp_path / "b", "dogs")
    assert options_of(f"bm25:{one}") != options_of(f"bm25:{two}")


def test_two_corpora_of_one_name_are_refused(tmp_path: Path) -> None:
    one, two = corpus_in(tmp_path / "a"), corpus_in(tmp_path / "b", "dogs")
    with pytest.raises(ConfigError, match=r"two corpora have the name c\.jsonl"):
        options_of(f"bm25:{one}", f"bm25:{two}")


def test_one_corpus_of_two_retrievers_is_one(tmp_path: Path) -> None:
    file = corpus_in(tmp_path / "a")
    assert options_of(f"bm25:{file}", f"embeddings:{file}@http://localhost:1/v1")["retrievers"] == [
        "bm25:c.jsonl",
        "embeddings:c.jsonl@http://localhost:1/v1",
    ]


def test_no_retriever_a_bad_top_k_and_a_missing_corpus_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a retriever"):
        options_of()
    with pytest.raises(ConfigError, match="--top-k 0"):
        options_of("http:http://localhost:1/search", top_k=0)
    with pytest.raises(CorpusError):
        options_of(f"bm25:{tmp_path / 'none.jsonl'}")


def test_only_accuracy_is_a_rate() -> None:
    """Wilson's interval is of a rate; an IoU that is 0 or 1 by chance is not one."""
    suite, one = ResearchSuite(), run_of(case_set(deep(1)), [])
    assert suite.is_rate(one)
    assert not suite.is_rate(run_of(case_set(deep(1), wide("Which?", 2)), []))
