"""A bench run as read from its directory: what it holds, what is missing, and every way in which it is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.records import BenchMeta, BenchTrial, Grade, Unavailable
from autoresearch.benches.run_directory import read_run
from autoresearch.core.values import FrozenModel
from autoresearch.errors import AutoresearchError, CorpusError, JournalDamaged
from autoresearch.storage.sealed_line import seal

TS = "2026-11-26T00:00:00Z"
CASES = CaseSet("samples", tuple(Case(id=i, suite="samples", payload={"question": "1\u20282?"}) for i in "abc"))


def meta(**changes: Any) -> BenchMeta:
    fields: dict[str, Any] = {
        "ts": TS,
        "suite": "samples",
        "cases_sha256": CASES.sha256,
        "cases": 3,
        "samples": 2,
        "model": "m",
        "base_url": None,
        "sampling": {},
        "prompt_sha256": "0",
        "limits": {},
        "options": {},
        "versions": {},
    }
    return BenchMeta(**fields | changes)


def trial(case: str, sample: int) -> BenchTrial:
    return BenchTrial(ts=TS, case=case, sample=sample, status="finished", answer="2")


def grade(seq: int, grader: str = "math@1", score: float | None = 1.0) -> Grade:
    return Grade(ts=TS, trial=seq, grader=grader, score=score, correct=None if score is None else score == 1)


def lost(case: str, sample: int, cause: str = "timeout") -> Unavailable:
    return Unavailable(ts=TS, case=case, sample=sample, cause=cause, detail="no answer")


def write(folder: Path, *records: FrozenModel, cases: CaseSet = CASES, tail: bytes = b"") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [seal(n, record.model_dump_json()) for n, record in enumerate(records)]
    (folder / "trials.jsonl").write_bytes(b"".join(lines) + tail)
    (folder / "cases.jsonl").write_text("".join(case.model_dump_json() + "\n" for case in cases.cases))
    return folder


def test_trials_with_their_latest_grades_and_what_is_missing(tmp_path):
    records = [
        meta(),
        trial("a", 0),
        grade(1, score=0.0),
        lost("b", 1),
        trial("b", 0),
        grade(4, "judge@1", None),
        grade(1, "math@2"),
        lost("b", 1, "refused"),
        lost("a", 1),
        trial("a", 1),
    ]
    run = read_run(write(tmp_path, *records))
    assert (run.planned, run.cases.sha256, run.path) == (6, CASES.sha256, tmp_path)
    assert {pair: graded.seq for pair, graded in run.trials.items()} == {("a", 0): 1, ("b", 0): 4, ("a", 1): 9}
    assert run.trials["a", 0].grades == {"math": grade(1, "math@2")}
    assert run.trials["b", 0].grades == {"judge": grade(4, "judge@1", None)}
    assert run.missing == (("b", 1), ("c", 0), ("c", 1))
    assert {pair: record.cause for pair, record in run.unavailable.items()} == {("b", 1): "refused"}
    assert read_run(tmp_path / "trials.jsonl") == run


def test_a_torn_last_line_is_a_missing_attempt(tmp_path):
    whole = seal(2, trial("a", 1).model_dump_json())
    for cut in (1, 20, len(whole) - 1):
        run = read_run(write(tmp_path, meta(), trial("a", 0), tail=whole[:cut]))
        assert list(run.trials) == [("a", 0)]


@pytest.mark.parametrize(
    ("records", "line", "what"),
    [
        ([trial("a", 0)], 1, "not a meta record"),
        ([meta(), trial("x", 0)], 2, "'x', sample 0, which was not planned"),
        ([meta(), trial("a", 2)], 2, "sample 2, which was not planned"),
        ([meta(), trial("a", -1)], 2, "sample -1"),
        ([meta(), trial("a", 0), trial("a", 0)], 3, "second trial"),
        ([meta(), grade(0)], 2, "names record 0"),
        ([meta(), grade(2), trial("a", 0)], 2, "names record 2"),
    ],
)
def test_a_record_that_does_not_fit_is_named(tmp_path, records, line, what):
    with pytest.raises(JournalDamaged, match=f"line {line}") as error:
        read_run(write(tmp_path, *records))
    assert what in error.value.what
    assert error.value.hint
    assert "--fresh" not in error.value.hint, "`bench` has no such flag"


def test_a_damaged_line_is_named(tmp_path):
    write(tmp_path, meta(), trial("a", 0), trial("a", 1))
    file = tmp_path / "trials.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"sample":0', b'"sample":1'))
    with pytest.raises(JournalDamaged, match="line 2") as error:
        read_run(tmp_path)
    assert "--fresh" not in error.value.hint


def test_a_record_of_another_version_is_named_with_its_field(tmp_path):
    write(tmp_path, meta())
    with (tmp_path / "trials.jsonl").open("ab") as file:
        file.write(seal(1, '{"stage":"verdict","ts":"now"}'))
    with pytest.raises(JournalDamaged, match="line 2") as error:
        read_run(tmp_path)
    assert "another version" in error.value.hint


@pytest.mark.parametrize(
    "cases",
    [
        b"",
        b"\xff\xfe",
        b"{}\n",
        b"null\n",
        b'{"id": "a", "suite": "samples", "payload": {}, "payload2": 1}\n',
        b'{"id": NaN, "suite": "samples", "payload": {}}\n',
        json.dumps({"id": "a", "suite": "samples", "payload": {}}).encode() * 2,
        (json.dumps({"id": "a", "suite": "samples", "payload": {}}) + "\n").encode() * 2,
        (json.dumps({"id": "a", "suite": "samples", "payload": {}}) + "\n").encode(),  # others than the run's
    ],
)
def test_cases_that_are_not_those_of_the_run_are_refused(tmp_path, cases):
    write(tmp_path, meta())
    (tmp_path / "cases.jsonl").write_bytes(cases)
    with pytest.raises(CorpusError, match=r"cases\.jsonl"):
        read_run(tmp_path)


def test_what_is_not_a_run_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "absent", tmp_path / "trials.jsonl"):
        with pytest.raises(CorpusError, match="try"):
            read_run(path)
    (tmp_path / "trials.jsonl").write_bytes(b"")
    with pytest.raises(CorpusError, match="no record"):
        read_run(tmp_path)
    (tmp_path / "trials.jsonl").write_bytes(b"hello\nworld\n")
    with pytest.raises(AutoresearchError, match="line 1"):
        read_run(tmp_path)
    write(tmp_path, meta())
    (tmp_path / "cases.jsonl").unlink()
    with pytest.raises(CorpusError, match="cannot read"):
        read_run(tmp_path)
