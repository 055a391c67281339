"""Cases of suite R, in the format of AutoResearchBench."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.research.cases import gold_papers, load_cases
from autoresearch.benches.research.papers import Paper
from autoresearch.errors import CorpusError

DEEP = {"question": "Which paper?", "answer": ["A Title"], "arxiv_id": "2204.05525v2"}
WIDE = {"question": "Which papers?", "answer": ["One", "Two"], "arxiv_id": ["2204.00001", "arXiv:2204.00002"]}


def load(path: Path, *lines: Any) -> Any:
    file = path / "cases.jsonl"
    file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return load_cases(file)


def test_deep_and_wide_are_inferred_from_the_id(tmp_path: Path) -> None:
    deep, wide = load(tmp_path, DEEP, WIDE).cases
    assert (deep.family, wide.family) == ("deep", "wide")
    assert gold_papers(deep) == (Paper("2204.05525", "A Title"),)
    assert gold_papers(wide) == (Paper("2204.00001", "One"), Paper("2204.00002", "Two"))


def test_deep_is_joined_on_the_id_and_wide_on_the_hash_of_the_question(tmp_path: Path) -> None:
    deep, wide = load(tmp_path, DEEP, WIDE).cases
    assert deep.id == "2204.05525"
    assert wide.id == hashlib.sha256(b"Which papers?").hexdigest()


def test_the_line_itself_is_kept_for_upstream(tmp_path: Path) -> None:
    (case,) = load(tmp_path, DEEP | {"domain": "cs"}).cases
    assert case.payload["input"] == DEEP | {"domain": "cs"}


def test_two_questions_about_one_paper_have_ids_of_their_own(tmp_path: Path) -> None:
    first, second = load(tmp_path, DEEP, DEEP | {"question": "And this one?"}).cases
    assert first.id == "2204.05525#" + hashlib.sha256(b"Which paper?").hexdigest()[:8]
    assert second.id == "2204.05525#" + hashlib.sha256(b"And this one?").hexdigest()[:8]


@pytest.mark.parametrize("given", ["deep", "Deep", " DEEP "])
def test_a_type_that_agrees_is_accepted(tmp_path: Path, given: str) -> None:
    assert load(tmp_path, DEEP | {"type": given}).cases[0].family == "deep"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (DEEP | {"type": "wide"}, "type is wide, but arxiv_id is one id"),
        (WIDE | {"type": "deep"}, "type is deep, but arxiv_id is a list of ids"),
        (DEEP | {"type": "narrow"}, "type: 'narrow' is not deep or wide"),
        (DEEP | {"type": 3}, "type: 3 is not deep or wide"),
        (DEEP | {"question": " "}, "question: a text is expected"),
        (DEEP | {"question": None}, "question: a text is expected"),
        ({"answer": ["A"], "arxiv_id": "x"}, "question: a text is expected"),
        ({"question": "q", "answer": ["A"]}, "arxiv_id: a text (Deep) or a list of texts (Wide) is expected, not None"),
        (DEEP | {"arxiv_id": 2204.0552}, "arxiv_id: a text (Deep)"),
        (DEEP | {"arxiv_id": 2204.0552, "type": "deep"}, "a number loses its last zeros"),
        (WIDE | {"arxiv_id": ["2204.00001", None]}, "arxiv_id: None is not a text"),
        (WIDE | {"arxiv_id": ["", "2204.00002", "x"]}, "an empty id, and no title that belongs to it"),
        (DEEP | {"answer": [1]}, "answer: a list of titles is expected"),
        (DEEP | {"answer": ["A", "B"], "arxiv_id": ""}, "a Deep question without an arxiv_id has one title, not 2"),
        ("[1]", "a JSON object is expected, not [1]"),
        ("{not json}", "line 1: Expecting property name"),
        ('{"question": NaN}', "NaN is not a JSON value"),
        ('{"question": "a", "question": "b"}', "the key 'question' occurs twice"),
        ('{"question": "\\ud800"}', "half a surrogate pair"),
        ("[" * 100_000, "nested too deeply"),
        ({"ciphertext": "eA=="}, "line 1 is encrypted"),
    ],
)
def test_a_bad_line_is_named_with_its_value(tmp_path: Path, line: Any, message: str) -> None:
    with pytest.raises(CorpusError) as caught:
        load(tmp_path, line)
    assert message in str(caught.value)
    assert "cases.jsonl" in caught.value.what
    assert "line 1" in caught.value.what


def test_a_question_that_occurs_twice_names_both_lines(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="line 3 asks the question of line 1 again"):
        load(tmp_path, WIDE, DEEP, WIDE | {"arxiv_id": []})


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_a_file_without_a_case_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_bytes(content)
    with pytest.raises(CorpusError, match="no case found"):
        load_cases(file)


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    with pytest.raises(CorpusError, match="line 1: byte 0 is not UTF-8"):
        load_cases(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"cannot read .*nothing\.jsonl"):
        load_cases(tmp_path / "nothing.jsonl")


def test_a_byte_order_mark_and_crlf_are_accepted(tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(DEEP).encode() + b"\r\n")
    assert load_cases(file).cases[0].id == "2204.05525"


@pytest.mark.parametrize("line", [DEEP | {"answer": ["None"], "arxiv_id": ""}, DEEP | {"answer": [], "arxiv_id": ""}])
def test_a_question_may_have_no_paper(tmp_path: Path, line: Any) -> None:
    assert gold_papers(load(tmp_path, line).cases[0]) == ()


def test_wide_without_ids_has_its_titles(tmp_path: Path) -> None:
    (case,) = load(tmp_path, WIDE | {"arxiv_id": []}).cases
    assert gold_papers(case) == (Paper("", "One"), Paper("", "Two"))


def test_wide_ids_and_titles_of_different_number_are_not_paired(tmp_path: Path) -> None:
    (case,) = load(tmp_path, WIDE | {"answer": ["Only one"]}).cases
    assert gold_papers(case) == (Paper("2204.00001"), Paper("2204.00002"))


def test_a_gold_paper_counts_once(tmp_path: Path) -> None:
    (case,) = load(tmp_path, WIDE | {"arxiv_id": ["2204.00001", "2204.00001v3"]}).cases
    assert gold_papers(case) == (Paper("2204.00001", "One"),)
