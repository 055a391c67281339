"""Case files: what a good one gives, and how a bad one is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.samples import cases as cases_module
from autoresearch.benches.samples.cases import load_cases
from autoresearch.errors import CorpusError, MissingPackage

GOOD = {"id": "a", "question": "2+2?", "expected_answer": "4", "kind": "math"}


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_a_file_gives_cases_in_its_order(tmp_path: Path) -> None:
    file = write(
        tmp_path / "c.jsonl",
        GOOD,
        GOOD | {"id": "b", "kind": "mcq", "expected_answer": "C", "family": "letters"},
        GOOD | {"id": "c", "kind": "exact"},
        GOOD | {"id": "d", "kind": "judge"},
    )
    found = load_cases(file)
    assert [(case.id, case.family, case.payload["kind"]) for case in found.cases] == [
        ("a", "", "math"),
        ("b", "letters", "mcq"),
        ("c", "", "exact"),
        ("d", "", "judge"),
    ]
    assert found.cases[0].payload == {"question": "2+2?", "expected_answer": "4", "kind": "math"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (GOOD | {"kind": "maths"}, "kind: .*'math'.*not 'maths'"),
        (GOOD | {"expected_answer": 4}, "expected_answer: .*string, not 4"),
        (GOOD | {"expected_answer": None}, "expected_answer: .*not None"),
        (GOOD | {"expected_answer": "  "}, "expected_answer"),
        (GOOD | {"question": ""}, "question"),
        (GOOD | {"id": ""}, "id"),
        (GOOD | {"id": 7}, "id: .*not 7"),
        (GOOD | {"familly": "x"}, "familly"),
        ({k: v for k, v in GOOD.items() if k != "question"}, "question: field required"),
        (GOOD | {"kind": "mcq"}, "expected_answer: '4' is not one capital letter"),
        (GOOD | {"kind": "mcq", "expected_answer": "b"}, "not one capital letter"),
        (GOOD | {"kind": "mcq", "expected_answer": "(B)"}, "not one capital letter"),
        (GOOD | {"kind": "mcq", "expected_answer": "AB"}, "not one capital letter"),
        (GOOD | {"expected_answer": "1" * 3_000}, "3,000 characters"),
        (GOOD | {"kind": "exact", "expected_answer": "."}, "is empty without its punctuation"),
        (["a"], "object"),
        ("a", "object"),
        (7, "object"),
    ],
)
def test_a_bad_line_is_named_with_file_line_field_and_value(tmp_path: Path, line: Any, message: str) -> None:
    file = write(tmp_path / "c.jsonl", GOOD | {"id": "first"}, line)
    with pytest.raises(CorpusError, match=message) as e:
        load_cases(file)
    assert f"{file}: line 2" in e.value.what
    assert e.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no case"),
        (b"\n \n", "no case"),
        (b"\xff\xfe", "line 1: byte 0 is not UTF-8"),
        (b"{", "line 1"),
        (b'{"id": NaN}', "NaN"),
        (b'{"id": "a", "id": "b"}', "twice"),
        (b'{"id": "\\ud800"}', "surrogate"),
        (b"[" * 100_000, "line 1"),
        (b"\x00" * 100, "line 1"),
    ],
)
def test_a_file_that_is_not_json_lines_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "c.jsonl").write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        load_cases(tmp_path / "c.jsonl")


def test_an_id_that_occurs_twice_is_named_with_both_lines(tmp_path: Path) -> None:
    file = write(tmp_path / "c.jsonl", GOOD, GOOD | {"id": "b"}, GOOD)
    with pytest.raises(CorpusError, match="line 3: id: 'a' is the id of line 1 too"):
        load_cases(file)


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(CorpusError):
            load_cases(path)


def test_a_file_with_too_many_cases_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases_module, "MAX_CASES", 1)
    with pytest.raises(CorpusError, match="more than 1 cases"):
        load_cases(write(tmp_path / "c.jsonl", GOOD, GOOD | {"id": "b"}))


def test_math_verify_is_needed_only_by_mathematical_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingPackage("math-verify")

    monkeypatch.setattr(cases_module, "check_installed", missing)
    load_cases(write(tmp_path / "c.jsonl", GOOD | {"kind": "exact"}))
    with pytest.raises(MissingPackage):
        load_cases(write(tmp_path / "d.jsonl", GOOD))
