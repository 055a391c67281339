"""What the tests of suite R share: a retriever from a table, cases, and runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.ports import BenchRun, Graded
from autoresearch.benches.records import BenchMeta, BenchTrial
from autoresearch.benches.research.cases import case_ids, parse_case
from autoresearch.benches.research.grading import grade_trial
from autoresearch.benches.research.papers import Paper, same_paper
from autoresearch.benches.research.retrievers.port import Document, RetrieverFailed

TS = "2026-01-01T00:00:00.000Z"


def documents(*numbers: int) -> tuple[Document, ...]:
    return tuple(Document(f"2204.{n:05}", f"Title {n}", f"Text of paper {n}.") for n in numbers)


@dataclass
class TableRetriever:
    """Answers each query from a table; another query returns nothing. ``queries`` collects what was asked."""

    results: Mapping[str, Sequence[Document] | RetrieverFailed]
    index: Sequence[Paper] | None = None
    name: str = "table"
    queries: list[tuple[str, int]] = field(default_factory=list)

    def search(self, query: str, top_k: int) -> tuple[Document, ...]:
        self.queries.append((query, top_k))
        found = self.results.get(query, ())
        if isinstance(found, RetrieverFailed):
            raise found
        return tuple(found[:top_k])

    def has(self, paper: Paper) -> bool | None:
        return None if self.index is None else any(same_paper(paper, known) for known in self.index)


def case_set(*lines: Mapping[str, Any]) -> CaseSet:
    payloads = [parse_case(line) for line in lines]
    ids = case_ids(payloads)
    cases = [Case(id=i, suite="research", family=p["type"], payload=p) for i, p in zip(ids, payloads, strict=True)]
    return CaseSet("research", tuple(cases))


def deep(number: int) -> dict[str, Any]:
    return {"question": f"Which is paper {number}?", "answer": [f"Title {number}"], "arxiv_id": f"2204.{number:05}"}


def wide(question: str, *numbers: int) -> dict[str, Any]:
    ids = [f"2204.{n:05}" for n in numbers]
    return {"question": question, "answer": [f"Title {n}" for n in numbers], "arxiv_id": ids}


def plain(*numbers: int) -> list[dict[str, str]]:
    return [{"id": f"2204.{n:05}", "title": f"Title {n}"} for n in numbers]


def trial(
    case: Case,
    sample: int = 0,
    *,
    status: str = "finished",
    turns: Sequence[Mapping[str, Any]] = (),
    candidates: Sequence[int] | None = (),
    nominee: int | None = None,
    **evidence: Any,
) -> BenchTrial:
    """A trial as the suite records it. ``nominee``: the first candidate where it is not given."""
    if candidates:
        nominee = candidates[0] if nominee is None else nominee
    found: dict[str, Any] = {"nominee": plain(nominee)[0] if nominee is not None else None}
    found["candidates"] = None if candidates is None else plain(*candidates)
    found["candidate_count"] = None if candidates is None else len(candidates)
    return BenchTrial(
        ts=TS,
        case=case.id,
        sample=sample,
        status=status,
        answer=None,
        turns=tuple(dict(turn) for turn in turns),
        wall_s=1.0,
        evidence=found | evidence,
    )


def tool_turn(*numbers: int, query: str = "q") -> dict[str, Any]:
    return {
        "action": "tool",
        "input_tokens": 10,
        "output_tokens": 5,
        "queries": [query],
        "papers": plain(*numbers),
        "papers_retrieved_this_turn": len(numbers),
        "call_formats": ["native"],
    }


FINISH = {"action": "finish", "input_tokens": 10, "output_tokens": 5, "queries": [], "papers": []}
FORMAT_ERROR = {"action": "error", "input_tokens": 10, "output_tokens": 5, "queries": [], "papers": []}
NO_ANSWER = {"action": "error", "input_tokens": 10, "output_tokens": 0, "papers": []}


def run_of(cases: CaseSet, trials: Sequence[BenchTrial], samples: int = 1, **options: Any) -> BenchRun:
    """A run whose trials are graded by the suite."""
    meta = BenchMeta(
        ts=TS,
        suite="research",
        cases_sha256=cases.sha256,
        cases=len(cases.cases),
        samples=samples,
        model="model",
        base_url=None,
        sampling={},
        prompt_sha256="0" * 64,
        limits={},
        options={"top_k": 10, **options},
        versions={},
    )
    by_id = {case.id: case for case in cases.cases}
    graded = {
        (item.case, item.sample): Graded(seq, item, {"research": grade_trial(by_id[item.case], item, TS)})
        for seq, item in enumerate(trials, 1)
    }
    return BenchRun(Path("run"), meta, cases, graded)
