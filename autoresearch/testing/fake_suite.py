"""A small suite for tests of the engine, and a run directory made with it: no server, no time."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.ports import Attempt, Bench, BenchRun, ContextOverflow
from autoresearch.benches.records import BenchTrial, Grade
from autoresearch.errors import CorpusError


@dataclass(slots=True)
class FakeSuite:
    """Asks the payload's ``question`` once; the reply is correct where it is the payload's ``expected``.

    The attempt leaves its reply as a file, and the grade reads that file.
    """

    name: str = "fake"
    grader: str = "fake@1"
    needs_model: bool = True
    prompt_text: str = "Answer with one word."
    default_limits: Mapping[str, float] = field(default_factory=lambda: {"max_turns": 1.0})

    def add_flags(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--loud", action="store_true", help="ask in capitals")

    def options(self, args: argparse.Namespace) -> dict[str, Any]:
        return {"loud": bool(getattr(args, "loud", False))}

    def load(self, source: Path) -> CaseSet:
        """JSON lines ``{id, question, expected}``."""
        try:
            lines = source.read_text().splitlines()
            rows = [json.loads(line) for line in lines]
            cases = [Case(id=row["id"], suite=self.name, payload=row) for row in rows]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
            raise CorpusError(f"{source}: {e}", hint="JSON lines with id, question and expected") from e
        return CaseSet(self.name, tuple(cases))

    def attempt(self, case: Case, sample: int, bench: Bench) -> Attempt:
        assert bench.chat is not None
        question = str(case.payload["question"])
        asked = question.upper() if bench.options["loud"] else question
        try:
            turn = bench.chat.complete([{"role": "user", "content": asked}])
        except ContextOverflow as e:
            return Attempt("context_length_exceeded", None, evidence={"detail": e.detail})
        (bench.folder / "reply.txt").write_text(turn.text)
        shown = {"text": turn.text, "latency_s": turn.latency_s}
        return Attempt("finished", turn.text, (shown,), turn.tokens_in, turn.tokens_out, {"sample": sample})

    def grade(self, case: Case, trial: BenchTrial, folder: Path) -> Grade:
        file = folder / "reply.txt"
        left = file.read_text() if trial.status == "finished" else None
        is_right = left == case.payload["expected"] == trial.answer
        return Grade(ts=trial.ts, trial=0, grader=self.grader, score=float(is_right), correct=is_right, answer=left)

    def analyze(self, run: BenchRun) -> dict[str, Any]:
        grades = [g for graded in run.trials.values() for g in graded.grades.values()]
        right = sum(bool(grade.correct) for grade in grades)
        return {"planned": run.planned, "trials": len(run.trials), "right": right, "accuracy": right / run.planned}

    def describe(self, analysis: Mapping[str, Any]) -> str:
        return f"{analysis['right']} of {analysis['planned']} right"

    def case_scores(self, run: BenchRun) -> dict[str, tuple[float | None, ...]]:
        return {
            case.id: tuple(self._score(run, case.id, sample) for sample in range(run.meta.samples))
            for case in run.cases.cases
        }

    def headline(self, run: BenchRun) -> str:
        return "accuracy"

    def is_rate(self, run: BenchRun) -> bool:
        return True

    def _score(self, run: BenchRun, case: str, sample: int) -> float | None:
        graded = run.trials.get((case, sample))
        grade = graded.grades.get("fake") if graded else None
        return grade.score if grade else None


def fake_cases(*ids: str) -> CaseSet:
    """Cases whose expected answer is their id."""
    cases = [Case(id=i, suite="fake", payload={"question": f"What is {i}?", "expected": i}) for i in ids]
    return CaseSet("fake", tuple(cases))
