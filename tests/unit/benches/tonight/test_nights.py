"""Candidates from the graded nights of suite P: regret, the same time, lost proposals, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.analysis import analyse
from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.ports import BenchRun
from autoresearch.benches.proposers.checkpoints import Checkpoint, Step
from autoresearch.benches.proposers.counts import Counts
from autoresearch.benches.records import BenchRecord, BenchTrial, Grade
from autoresearch.benches.run_comparison import compare_runs
from autoresearch.benches.run_directory import read_run, write_imported
from autoresearch.benches.tonight import nights
from autoresearch.benches.tonight.collect import collect_evidence, merge_candidates
from autoresearch.benches.tonight.nights import candidates_of, table_of
from autoresearch.cli.bench_run import load_suite
from autoresearch.errors import CorpusError, YardstickMismatch
from autoresearch.testing.fake_suite import FakeSuite
from tests.bench_world import TS, meta_of, write_bench

OPTIMUM = 2.0
TABLE = {"profile": "tiny"}


@pytest.fixture(autouse=True)
def _known_optimum(monkeypatch):
    monkeypatch.setattr(nights, "_optimum_of", lambda _run: OPTIMUM)


def checkpoint(trials: int, true: float, virtual_s: float) -> Checkpoint:
    return Checkpoint(
        trials=trials,
        reached=trials,
        virtual_s=virtual_s,
        propose_s=1.0,
        chosen={},
        noisy=true - 0.01,
        seeds=1,
        true=true,
        kept={},
        kept_true=true,
        keeps=0,
    )


def night(seed: int, true: float, virtual_s: float = 300.0, **changes: Any) -> dict[str, Any]:
    """The detail of a grade, with the seed of its trial."""
    path = [Step(trials=0, virtual_s=0.0, true=2.5), Step(trials=20, virtual_s=virtual_s / 2, true=true)]
    counts = Counts(**{"proposals": 40, "propose_s": 20.0} | changes)
    states = [checkpoint(10, 2.4, 100.0), checkpoint(30, true, virtual_s), checkpoint(100, 2.0, 1000.0)]
    return {
        "seed": seed,
        "checkpoints": [c.model_dump(mode="json") for c in states],
        "path": [s.model_dump(mode="json") for s in path],
        "counts": counts.model_dump(mode="json"),
    }


def write_nights(
    folder: Path, by_case: dict[str, list[dict[str, Any] | None]], *, table: Any = TABLE, **meta: Any
) -> BenchRun:
    """A run of suite P with these nights; ``None`` is missing."""
    cases = CaseSet(
        "proposer",
        tuple(
            Case(
                id=name,
                suite="proposer",
                family="model" if name in ("hybrid", "llm") else "optimizer",
                payload={"proposer": name, "table": table},
            )
            for name in by_case
        ),
    )
    samples = max(map(len, by_case.values()))
    records: list[BenchRecord] = []
    for name, found in by_case.items():
        for sample, detail in enumerate(found):
            if detail is None:
                continue
            evidence = {"seed": detail["seed"]}
            energy = 80.0 if name == "hybrid" else None
            records.append(
                BenchTrial(
                    ts=TS,
                    case=name,
                    sample=sample,
                    status="finished",
                    answer=None,
                    evidence=evidence,
                    energy_j=energy,
                )
            )
            detail = {key: value for key, value in detail.items() if key != "seed"}
            grade = Grade(ts=TS, trial=len(records), grader="proposers@1", score=0.5, correct=None, detail=detail)
            records.append(grade)
    options = {"trials": 100, "decision": "sequential"}
    write_imported(folder, meta_of(cases, samples, options=options, **meta), cases, records)
    return read_run(folder)


class FakeNights(FakeSuite):
    """Scores of nights, without their table."""

    def case_scores(self, run):
        return {case.id: (0.5,) * run.meta.samples for case in run.cases.cases}


def test_the_candidates_of_a_run(tmp_path):
    lost = {"refused": {"R6_novelty": 7, "R1_schema": 2}, "no_data": 1, "crashes": {"out_of_memory": 3}}
    calls = {"calls": {"ok": 9, "timeout": 4, "duplicate": 7, "schema_invalid": 2}}
    run = write_nights(
        tmp_path,
        {
            "tpe": [night(5, 2.2, 300.0), night(1005, 2.1, 400.0)],
            "hybrid": [night(5, 2.05, 700.0, **lost, **calls), None],
        },
    )
    tpe, hybrid = candidates_of([run])
    assert (tpe.name, tpe.model, tpe.base_url, tpe.missing) == ("tpe", None, None, 0)
    assert tpe.regret == {5: pytest.approx(0.2), 1005: pytest.approx(0.1)}
    assert tpe.at_clock == tpe.regret
    assert (hybrid.name, hybrid.missing) == ("hybrid with acme/agent-8b", 1)
    assert hybrid.regret == {5: pytest.approx(0.05)}
    assert hybrid.at_clock == {5: pytest.approx(0.5)}  # at 300 s, before its first change at 350 s
    assert hybrid.failures == {
        "repeat (R6)": 7,
        "call timeout": 4,
        "crash out_of_memory": 3,
        "refused by R1_schema": 2,
        "no data in the table": 1,
    }
    assert hybrid.proposals == 44
    assert (hybrid.proposal_s, hybrid.proposal_j) == (0.5, 2.0)
    assert tpe.proposal_j is None


def test_nights_that_are_too_short_have_no_regret(tmp_path):
    short = night(5, 2.2)
    short["checkpoints"] = short["checkpoints"][:1]
    (tpe,) = candidates_of([write_nights(tmp_path, {"tpe": [short]})])
    assert (tpe.regret, tpe.missing) == ({}, 1)


def test_a_grade_of_another_version_is_refused(tmp_path):
    bad = night(5, 2.2)
    del bad["counts"]
    with pytest.raises(CorpusError, match="record 1") as error:
        candidates_of([write_nights(tmp_path, {"tpe": [bad]})])
    assert "regrade" in error.value.hint


def test_runs_on_other_tables_are_refused(tmp_path):
    write_nights(tmp_path / "a", {"tpe": [night(5, 2.2)]})
    write_nights(tmp_path / "b", {"hybrid": [night(5, 2.2)]}, table={"profile": "other"})
    with pytest.raises(YardstickMismatch, match="2 tables"):
        collect_evidence([tmp_path / "a", tmp_path / "b"], load_suite)
    assert table_of(read_run(tmp_path / "a")) != table_of(read_run(tmp_path / "b"))


def test_the_morning_of_two_models(tmp_path, monkeypatch):
    from autoresearch.benches.suites import SUITES

    monkeypatch.setitem(SUITES, "fake", ("autoresearch.testing.fake_suite", "FakeSuite"))
    noise = [0.01 * ((7 * n) % 5 - 2) for n in range(24)]
    tpe: list[dict[str, Any] | None] = [night(n, 2.30 + noise[n]) for n in range(24)]
    good: list[dict[str, Any] | None] = [night(n, 2.10 + noise[n]) for n in range(24)]
    bad: list[dict[str, Any] | None] = [night(n, 2.40 + noise[n]) for n in range(24)]
    write_nights(tmp_path / "a", {"tpe": tpe, "hybrid": bad}, model="acme/poor")
    write_nights(tmp_path / "b", {"tpe": tpe, "hybrid": good}, model="acme/good")
    write_bench(tmp_path / "s", {"a": [1.0, None]})
    found = collect_evidence([tmp_path / "a", tmp_path / "b", tmp_path / "s"], load_suite)
    assert found.tonight.headline == "Hybrid with acme/good"
    assert [row.candidate.name for row in found.tonight.rows] == [
        "hybrid with acme/good",
        "tpe",
        "hybrid with acme/poor",
    ]
    assert found.tonight.rows[0].clock_gain == pytest.approx(0.2)
    assert found.incomplete == (
        f"{tmp_path}/s: 1 of 2 planned samples have no trial (not attempted 1). "
        "The headline is bounded with them as 0 and as 1.",
    )


def test_compare_sends_proposers_to_tonight(tmp_path):
    run = write_nights(tmp_path, {"tpe": [night(5, 2.2)], "random": [night(5, 2.3)]})
    with pytest.raises(YardstickMismatch, match="no case to pair") as error:
        compare_runs(run, run, load_suite("proposer"))
    assert "bench tonight" in error.value.hint
    headline = analyse(FakeNights(), run).headline
    assert (headline["value"], headline["se"]) == (0.5, None)


def test_two_runs_of_one_candidate_are_one_with_the_seeds_of_both(tmp_path):
    lost = {"refused": {"R6_novelty": 10}}
    a = write_nights(tmp_path / "a", {"hybrid": [night(1, 2.1, **lost)]})
    b = write_nights(tmp_path / "b", {"hybrid": [night(2, 2.2, **lost)]})
    (merged,) = merge_candidates(candidates_of([a, b]))
    assert set(merged.regret) == {1, 2}
    assert (merged.proposals, merged.failures) == (80, {"repeat (R6)": 20})
    assert merged.proposal_s == 0.5
    (same,) = merge_candidates(candidates_of([a, a]))
    assert (same.proposals, set(same.regret)) == (40, {1})
    both = write_nights(tmp_path / "c", {"hybrid": [night(1, 2.1, **lost), night(2, 2.2, **lost)]})
    (whole,) = merge_candidates(candidates_of([a, both]))
    assert (whole.proposals, set(whole.regret), whole.missing) == (80, {1, 2}, 0)
    first, second = (replace(c, missing=1) for c in candidates_of([a, b]))
    (filled,) = merge_candidates([first, second])
    assert filled.missing == 0, "what one run lacks the other has"


def test_two_runs_that_differ_on_a_seed_stay_apart(tmp_path):
    a = write_nights(tmp_path / "a", {"hybrid": [night(1, 2.1)]})
    b = write_nights(tmp_path / "b", {"hybrid": [night(1, 2.2)]})
    first, second = merge_candidates(candidates_of([a, b]))
    assert first.name == "hybrid with acme/agent-8b"
    assert second.name == f"hybrid with acme/agent-8b ({tmp_path}/b)"
