"""Every suite of the benches with a real server and a real small model, from the command line to the page.

Such a model answers hardly anything right, so that no test asserts what it scores: each asserts that what it really
answers is recorded, graded and analysed, that the figures follow from the records, and that no answer of the model is
taken for a failure of the server or the reverse.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.judgement import parse_judgement
from autoresearch.benches.ports import BenchRun
from autoresearch.benches.run_directory import read_run
from autoresearch.cli.main import main
from autoresearch.core.llm_calls import LLM_SOURCE
from autoresearch.core.records import Proposed
from autoresearch.report import load_records
from autoresearch.storage.exchange_log import read_exchanges
from tests import small_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(small_model.missing()), reason=small_model.missing() or "it is there"),
]

EVIDENCE = Path(__file__).parents[2] / "evidence"
PAPERS = EVIDENCE / "2026-11-26-research-example"
ENDED = {"finished", "max_turns_reached", "max_tokens_reached", "context_length_exceeded", "error"}  # by the model
SENT = ("--set", f"llm.max_model_len={small_model.CONTEXT}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("small-model")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with small_model.serve(folder) as server:
        yield server.base_url


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command of ``bench`` with ``--json``: its exit code is 0, and this is what it prints."""

    def command(*argv: object) -> Any:
        code = main(["bench", *map(str, argv), "--json"])
        out, err = capsys.readouterr()
        assert code == 0, err
        return json.loads(out)

    return command


def check_complete(result: dict[str, Any], run: BenchRun) -> None:
    """Nothing is missing, the journal has what was printed, and every trial has the grade of its suite."""
    assert (result["complete"], result["missing"], result["unavailable"]) == (True, 0, {})
    assert result["recorded"] == result["planned"] == run.planned == len(run.trials)
    assert run.missing == ()
    assert result["model"] == run.meta.model == small_model.NAME
    assert result["tokens_in"] > result["tokens_out"] > 0
    assert all(graded.grades for graded in run.trials.values())
    assert result["attempts_s"] == pytest.approx(sum(graded.trial.wall_s or 0 for graded in run.trials.values()))


def test_samples_and_a_judge(bench: Any, url: str, folder: Path) -> None:
    lines = (EVIDENCE / "bench-samples/questions.jsonl").read_text().splitlines()
    wanted = {kind: next(x for x in lines if json.loads(x)["kind"] == kind) for kind in ("math", "mcq", "judge")}
    questions = folder / "questions.jsonl"
    questions.write_text("\n".join(wanted.values()))
    where = folder / "samples"
    result = bench("run", "samples", questions, "-k", 2, "--max-tokens", 24, "--base-url", url, "--dir", where, *SENT)
    run = read_run(where)
    check_complete(result, run)
    assert {g.trial.status for g in run.trials.values()} <= {"finished", "max_tokens_reached"}
    assert all(g.trial.tokens_out is not None and g.trial.tokens_out <= 24 for g in run.trials.values())
    judged_kind = json.loads(wanted["judge"])["id"]
    assert {case for (case, _), g in run.trials.items() if all(x.score is None for x in g.grades.values())} == {
        judged_kind
    }
    # the model judges itself: what it writes is mostly not a judgement, and such a reply is ungraded
    judged = bench("judge", where, "--base-url", url, "--force", *SENT, "--set", "llm.max_tokens=24")
    grades = [g.grades["judge"] for g in read_run(where).trials.values()]
    assert judged["planned"] + judged["not_asked"] == len(grades) == 6
    asked = [grade for grade in grades if grade.detail["reply"] is not None]
    assert len(asked) == judged["planned"] > 0
    for grade in asked:
        found = parse_judgement(grade.detail["reply"])
        assert grade.score == (found.score if found else None)
        last = grade.detail["reply"].strip().rpartition("\n")[2]
        assert grade.score is None or "udg" in last or grade.detail["reply"].strip()[0] in "{`"
    assert judged["ungraded"] == sum(grade.score is None for grade in grades)
    assert bench("regrade", where)["changed"] == []


def test_research(bench: Any, url: str, folder: Path) -> None:
    where, corpus = folder / "research", PAPERS / "corpus.jsonl"
    short = ("--limit", 2, "--max-tokens", 32, "--bound", "max_turns=2", "--base-url", url, *SENT)
    result = bench("run", "research", PAPERS / "cases.jsonl", "--retriever", f"bm25:{corpus}", "--dir", where, *short)
    run = read_run(where)
    check_complete(result, run)
    assert {g.trial.status for g in run.trials.values()} <= ENDED
    turns = [turn for g in run.trials.values() for turn in g.trial.turns]
    assert all(turn["action"] in ("tool", "finish", "error") for turn in turns)
    assert all(0 < turn["output_tokens"] <= 32 for turn in turns)  # 0 would be a failure of the server
    assert all(turn["input_tokens"] > 100 for turn in turns)
    chain = bench("diagnose", where)
    assert chain["sentence"]
    exported = folder / "export.jsonl"
    assert main(["bench", "export", str(where), "--out", str(exported)]) == 0
    assert len(exported.read_text().splitlines()) == 2


def test_workflow(bench: Any, url: str, folder: Path) -> None:
    where = folder / "workflow"
    bounds = ("--bound", "max_turns=2", "--bound", "max_completion_tokens=32")
    result = bench(
        "run", "workflow", "--limit", 2, "--tools", "text", *bounds, "--base-url", url, "--dir", where, *SENT
    )
    run = read_run(where)
    check_complete(result, run)
    assert {g.trial.status for g in run.trials.values()} <= ENDED
    for (case, sample), graded in run.trials.items():
        grade = graded.grades["workflow"]
        assert grade.score is not None, "the checks need no model: they always give a score"
        assert 0 <= grade.score < 1, f"{case}-{sample} was solved by a model of 270M parameters in 64 tokens"
    analysis = bench("analyze", where, "--no-html")
    assert (analysis["complete"], analysis["headline"]["value"]) == (True, 0.0)


def test_proposer_and_tonight(bench: Any, url: str, folder: Path) -> None:
    where = folder / "proposer"
    table = EVIDENCE / "bench-proposer/table.json"
    night = ("--proposers", "hybrid,tpe", "--trials", 4, "--decision", "threshold", "--set", "llm.share=0.5")
    result = bench(
        "run", "proposer", table, *night, "--base-url", url, "--dir", where, *SENT, "--set", "llm.deadline_s=300"
    )
    run = read_run(where)
    check_complete(result, run)
    attempt = where / "attempts/hybrid-0"
    calls = read_exchanges(attempt)
    assert calls, "the model was asked"
    assert all(call.prompt_tokens and call.prompt_tokens > 500 for call in calls)
    records = [r for r in load_records(attempt) if isinstance(r, Proposed)]
    assert any(r.source == LLM_SOURCE for r in records) or not any(call.classification == "ok" for call in calls)
    figures = {p["proposer"]: p for p in bench("analyze", where, "--no-html")["figures"]["proposers"]}
    assert sum(figures["hybrid"]["counts"]["calls"].values()) == len(calls)
    assert figures["tpe"]["counts"]["calls"] == {}
    page = folder / "tonight.html"
    found = bench("tonight", where, *(folder / s for s in ("research", "samples", "workflow")), "--html", page)
    assert found["tonight"]["decision"] == "cannot tell", "one night does not tell proposers apart"
    assert small_model.NAME in page.read_text(encoding="utf-8")
