"""The directory of a bench run: what is written is read back, and what is damaged is named with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.records import BENCH_SCHEMA_VERSION, BenchTrial, Grade, Unavailable
from autoresearch.benches.run_directory import open_directory, read_run, write_imported
from autoresearch.errors import ConfigError, CorpusError, JournalDamaged, LockHeld
from autoresearch.storage.sealed_line import seal
from autoresearch.testing.fake_suite import FakeSuite
from tests.engine_world import CASES, meta_of, result, run_bench

TS = "2026-01-01T00:00:00.000Z"
TRIAL = BenchTrial(ts=TS, case="a", sample=0, status="finished", answer="a")
GRADE = Grade(ts=TS, trial=1, grader="fake@1", score=1.0, correct=True)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run_bench(tmp_path / "run")
    return tmp_path / "run"


def lines(run: Path) -> list[bytes]:
    return (run / "trials.jsonl").read_bytes().splitlines(keepends=True)


def test_a_run_is_read_from_its_directory_or_its_journal(run: Path) -> None:
    assert read_run(run) == read_run(run / "trials.jsonl")
    assert read_run(run).path == run
    assert read_run(run).cases == CASES


def test_a_torn_record_counts_as_not_written_and_nothing_is_changed(run: Path) -> None:
    whole = lines(run)
    torn = b"".join(whole[:-2]) + whole[-2][:20]
    (run / "trials.jsonl").write_bytes(torn)
    assert len(read_run(run).trials) == 6
    assert (run / "trials.jsonl").read_bytes() == torn


def test_a_damaged_line_in_the_middle_is_named(run: Path) -> None:
    whole = lines(run)
    whole[3] = whole[3].replace(b'"finished"', b'"finishes"')
    (run / "trials.jsonl").write_bytes(b"".join(whole))
    with pytest.raises(JournalDamaged, match="line 4"):
        read_run(run)


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (TRIAL.model_dump_json(), "sample 0 of case 'a' has a second trial"),
        (GRADE.model_copy(update={"trial": 2}).model_dump_json(), "a grade names record 2, which is not a trial"),
        (TRIAL.model_dump_json().replace('"sample":0', '"sample":"0"'), "trial.sample"),
        (TRIAL.model_dump_json().replace('"sample":0', '"sample":0,"more":1'), "trial.more"),
        ('{"stage":"other"}', "other"),
        (
            meta_of(FakeSuite(), CASES, schema_version=BENCH_SCHEMA_VERSION + 1).model_dump_json(),
            f"schema_version {BENCH_SCHEMA_VERSION + 1} is newer",
        ),
    ],
)
def test_a_record_that_cannot_follow_is_named_with_its_line(run: Path, payload: str, problem: str) -> None:
    number = len(lines(run))
    with (run / "trials.jsonl").open("ab") as file:
        file.write(seal(number, payload))
    with pytest.raises(JournalDamaged) as damaged:
        read_run(run)
    assert f"line {number + 1}" in damaged.value.what
    assert problem in damaged.value.what


def test_a_journal_that_begins_with_another_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "trials.jsonl").write_bytes(seal(0, TRIAL.model_dump_json()))
    with pytest.raises(JournalDamaged, match="first record is not a meta record"):
        read_run(tmp_path)


def test_what_is_no_bench_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is not a bench run"):
        read_run(tmp_path)
    with pytest.raises(CorpusError, match="is not a bench run"):
        read_run(tmp_path / "missing")
    (tmp_path / "trials.jsonl").touch()
    with pytest.raises(CorpusError, match="has no record yet"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("What is a?", "What is b?"),
        lambda text: "".join(text.splitlines(keepends=True)[:-1]),
        lambda text: "",
        lambda text: text.replace('"payload"', '"cargo"'),
        lambda text: f"{text}{{",
        lambda text: text + text,
        lambda text: "[" * 100_000,
    ],
)
def test_cases_that_are_not_those_of_the_trials_are_refused(run: Path, change: object) -> None:
    assert callable(change)
    (run / "cases.jsonl").write_text(change((run / "cases.jsonl").read_text()))
    with pytest.raises(CorpusError):
        read_run(run)


def test_missing_cases_are_named(run: Path) -> None:
    (run / "cases.jsonl").unlink()
    with pytest.raises(CorpusError, match=r"cases\.jsonl"):
        read_run(run)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}])
def test_a_payload_that_json_cannot_hold_is_refused_before_anything_runs(tmp_path: Path, value: object) -> None:
    cases = CaseSet("fake", (Case(id="a", suite="fake", payload={"question": value}),))
    with pytest.raises(CorpusError, match="case 'a'"):
        run_bench(tmp_path / "run", cases=cases)
    assert (tmp_path / "run/trials.jsonl").stat().st_size == 0


def test_odd_text_in_a_payload_comes_back_unchanged(tmp_path: Path) -> None:
    payload = {"question": "\u2028\x00\x85\ud800 答", "expected": "a"}
    cases = CaseSet("fake", (Case(id="\u2028/\x85", suite="fake", payload=payload),))
    run_bench(tmp_path / "run", cases=cases)
    assert read_run(tmp_path / "run").cases == cases


def test_one_process_writes(tmp_path: Path) -> None:
    with open_directory(tmp_path), pytest.raises(LockHeld) as refused, open_directory(tmp_path):
        pass
    assert "another --dir" in refused.value.hint


def test_the_directory_of_a_training_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "trajectory.jsonl").touch()
    with pytest.raises(ConfigError, match="training run"), open_directory(tmp_path):
        pass


def test_an_imported_run_is_written_and_not_continued(tmp_path: Path) -> None:
    meta = meta_of(FakeSuite(), CASES, imported="ns eval")
    write_imported(tmp_path / "run", meta, CASES, [TRIAL, GRADE])
    run, figures = result(tmp_path / "run")
    assert (run.meta.imported, figures["right"], figures["planned"]) == ("ns eval", 1, 6)
    with pytest.raises(ConfigError, match="already has a bench run"):
        write_imported(tmp_path / "run", meta, CASES, [])


def test_failures_are_counted_and_are_no_trials(tmp_path: Path) -> None:
    with open_directory(tmp_path) as directory:
        directory.begin(meta_of(FakeSuite(), CASES), CASES)
        directory.append(Unavailable(ts=TS, case="a", sample=0, cause="timeout", detail="late"))
        directory.append(Unavailable(ts=TS, case="a", sample=0, cause="server_error", detail="later"))
        directory.append(Unavailable(ts=TS, case="b/c", sample=0, cause="timeout", detail="late"))
        assert directory.fold.unavailable == {"timeout": 2, "server_error": 1}
    run = read_run(tmp_path)
    assert len(run.missing) == 6
    assert {pair: record.cause for pair, record in run.unavailable.items()} == {
        ("a", 0): "server_error",
        ("b/c", 0): "timeout",
    }
    run_bench(tmp_path)
    assert read_run(tmp_path).unavailable == {}


def test_records_are_ascii_and_one_line_each(run: Path) -> None:
    data = (run / "trials.jsonl").read_bytes()
    assert data.isascii()
    assert [json.loads(line)["seq"] for line in data.splitlines()] == list(range(14))
