"""Bench runs on disk for tests: written with the engine's own journal, from a table of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.ports import BenchRun
from autoresearch.benches.records import BenchMeta, BenchRecord, BenchTrial, Grade, Unavailable
from autoresearch.benches.run_directory import read_run, write_imported

TS = "2026-11-26T00:00:00Z"


def case_set(ids: Sequence[str], families: Mapping[str, str] | None = None, **payload: Any) -> CaseSet:
    """Cases of suite ``fake``: the expected answer is the id."""
    rows = [
        Case(
            id=i,
            suite="fake",
            family=(families or {}).get(i, ""),
            payload={"question": f"What is {i}?", "expected": i, "expected_answer": i, **payload},
        )
        for i in ids
    ]
    return CaseSet("fake", tuple(rows))


def meta_of(cases: CaseSet, samples: int, **changes: Any) -> BenchMeta:
    fields: dict[str, Any] = {
        "ts": TS,
        "suite": cases.suite,
        "cases_sha256": cases.sha256,
        "cases": len(cases.cases),
        "samples": samples,
        "model": "acme/agent-8b",
        "base_url": "http://localhost:8000/v1",
        "sampling": {"temperature": 0.7},
        "prompt_sha256": "0" * 64,
        "limits": {},
        "options": {"loud": False},
        "versions": {"autoresearch": "0.1.0"},
    }
    return BenchMeta(**fields | changes)


def write_bench(
    folder: Path,
    scores: Mapping[str, Sequence[float | None]],
    *,
    cases: CaseSet | None = None,
    grader: str = "fake@1",
    lost: Mapping[tuple[str, int], str] | None = None,
    walls: Mapping[str, float] | None = None,
    **meta: Any,
) -> BenchRun:
    """A run with these scores by case and sample; ``None`` is a missing sample, NaN one that is ungraded.

    ``lost``: the cause of a missing sample. ``walls``: the seconds of each attempt at a case.
    """
    cases = cases or case_set(list(scores))
    samples = max(map(len, scores.values()))
    records: list[BenchRecord] = []
    for case, values in scores.items():
        for sample, score in enumerate(values):
            if score is None:
                if cause := (lost or {}).get((case, sample)):
                    records.append(Unavailable(ts=TS, case=case, sample=sample, cause=cause, detail="no answer"))
                continue
            answer = case if score == 1 else "wrong"
            wall_s = (walls or {}).get(case, 2.0)
            trial = BenchTrial(
                ts=TS, case=case, sample=sample, status="finished", answer=answer, wall_s=wall_s, tokens_out=10
            )
            known = score if score == score else None
            correct = None if known is None else known == 1
            records.append(trial)
            records.append(Grade(ts=TS, trial=len(records), grader=grader, score=known, correct=correct))
    write_imported(folder, meta_of(cases, samples, **meta), cases, records)
    return read_run(folder)
