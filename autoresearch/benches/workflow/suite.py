"""Suite W: workflows with mocked services, an audit log and deterministic checks."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.ports import Attempt, Bench, BenchRun
from autoresearch.benches.records import BenchTrial, Grade
from autoresearch.benches.workflow.analysis import analyze, case_scores, describe
from autoresearch.benches.workflow.attempt import REFUSED, run_attempt
from autoresearch.benches.workflow.grading import Ungradable, grade_checks, score_of
from autoresearch.benches.workflow.load import files_of, load_cases, task_of
from autoresearch.benches.workflow.prompt import PROMPT_TEXT
from autoresearch.errors import ConfigError
from autoresearch.machine import utc

GRADER = "workflow@1"


class WorkflowSuite:
    """See ``benches.ports.Suite``."""

    name = "workflow"
    grader = GRADER
    needs_model = True

    @property
    def default_limits(self) -> Mapping[str, float]:
        """Over each task's own turns and time; tokens are those of the completions of one attempt."""
        return {"max_turns": 500.0, "timeout_s": 3600.0, "max_tokens": 100_000.0, "max_completion_tokens": 4096.0}

    @property
    def prompt_text(self) -> str:
        return PROMPT_TEXT

    def add_flags(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--fault-seed", type=int, default=0, metavar="N", help="seed of the faults that tasks inject (default 0)"
        )

        text = "how the tools are sent: in their own field, or as a part of the prompt (default native)"
        parser.add_argument("--tools", choices=("native", "text"), default="native", help=text)

    def options(self, args: argparse.Namespace) -> dict[str, Any]:
        seed = getattr(args, "fault_seed", 0)
        if not 0 <= seed < 1 << 31:
            raise ConfigError(f"--fault-seed {seed} is not between 0 and 2147483647", hint="--fault-seed 0")
        return {"fault_seed": seed, "tools": getattr(args, "tools", "native")}

    def load(self, source: Path) -> CaseSet:
        """Read the task folders below ``source``; "builtin": those of the package."""
        return load_cases(source)

    def attempt(self, case: Case, sample: int, bench: Bench) -> Attempt:
        return run_attempt(case, sample, bench)

    def grade(self, case: Case, trial: BenchTrial, folder: Path) -> Grade:
        """The checks of the task on what the attempt left. A refused one has no score."""
        if trial.status == REFUSED:
            return _ungraded(str(trial.evidence.get(REFUSED, REFUSED)))
        task = task_of(case)
        try:
            results = grade_checks(task, folder, trial.answer or "", files_of(case))
        except Ungradable as e:
            return _ungraded(str(e))
        score = score_of(results)
        return Grade(
            ts=utc(),
            trial=0,
            grader=GRADER,
            score=score,
            correct=score >= task.pass_threshold,
            detail={
                "checks": [asdict(result) for result in results],
                "failed": [result.name for result in results if not result.passed],
            },
        )

    def analyze(self, run: BenchRun) -> dict[str, Any]:
        return analyze(run)

    def describe(self, analysis: Mapping[str, Any]) -> str:
        return describe(analysis)

    def case_scores(self, run: BenchRun) -> dict[str, tuple[float | None, ...]]:
        return case_scores(run)

    def headline(self, run: BenchRun) -> str:
        return "task pass rate"

    def is_rate(self, run: BenchRun) -> bool:
        return True


def _ungraded(reason: str) -> Grade:
    return Grade(ts=utc(), trial=0, grader=GRADER, score=None, correct=None, detail={"reason": reason})
