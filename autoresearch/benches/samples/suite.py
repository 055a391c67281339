"""Suite N: several samples of each question, graded without a judge where that is possible."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.ports import Attempt, Bench, BenchRun
from autoresearch.benches.records import BenchTrial, Grade
from autoresearch.benches.samples.analysis import analyze_run, headline_scores, score_name
from autoresearch.benches.samples.attempt import attempt_sample
from autoresearch.benches.samples.cases import KINDS, SUITE, load_cases
from autoresearch.benches.samples.grading import MAX_ANSWER_CHARS, Verdict, Verifier, grade_text
from autoresearch.benches.samples.math_verifier import shared_verifier
from autoresearch.benches.samples.ns_rows import EXTERNAL
from autoresearch.benches.samples.ns_rows import SYMBOLIC_GRADER as NS_GRADER
from autoresearch.benches.samples.prompts import PROMPT_TEXT
from autoresearch.benches.samples.tables import describe_analysis
from autoresearch.errors import ConfigError
from autoresearch.machine import utc

GRADER = "samples@1"
MAX_SYSTEM_CHARS = 100_000


class SamplesSuite:
    """See ``ports.Suite``. ``verifier`` compares mathematical answers; by default a process that is started once."""

    name = SUITE
    grader = GRADER
    needs_model = True
    prompt_text = PROMPT_TEXT

    def __init__(self, verifier: Verifier | None = None) -> None:
        self._verifier = verifier

    @property
    def default_limits(self) -> Mapping[str, float]:
        """None: the tokens of a completion are the sampling's, its time is the chat's."""
        return {}

    def add_flags(self, parser: argparse.ArgumentParser) -> None:
        """See ``ports.Suite``."""
        parser.add_argument("--system", metavar="TEXT", help="system message of every sample, for example /think")

    def options(self, args: argparse.Namespace) -> dict[str, Any]:
        """See ``ports.Suite``."""
        system = args.system
        if system is not None and len(system) > MAX_SYSTEM_CHARS:
            what = f"--system has {len(system):,} characters; at most {MAX_SYSTEM_CHARS:,} are sent"
            raise ConfigError(what, hint="put what belongs to a case into its question")
        return {"system": system} if system else {}

    def load(self, source: Path) -> CaseSet:
        """See ``ports.Suite``."""
        return load_cases(source)

    def attempt(self, case: Case, sample: int, bench: Bench) -> Attempt:
        """See ``ports.Suite``. The chat has the seed of this sample."""
        assert bench.chat is not None, "suite samples needs a model"
        return attempt_sample(case, bench.chat, bench.options.get("system"))

    def grade(self, case: Case, trial: BenchTrial, folder: Path) -> Grade:
        """See ``ports.Suite``. A case that is not ours to grade keeps the verdict that its source gave."""
        kind = case.payload.get("kind")
        kept = trial.evidence.get("imported")
        if isinstance(kept, dict) and (kind == "judge" or kind not in KINDS):
            return Grade.model_validate({"ts": utc(), "trial": 0, "grader": NS_GRADER, **kept})
        verdict = grade_text(
            str(kind), str(case.payload["expected_answer"]), trial.answer or "", self._verifier or shared_verifier()
        )
        return to_grade(verdict)

    def analyze(self, run: BenchRun) -> dict[str, Any]:
        """See ``ports.Suite``."""
        return analyze_run(run)

    def describe(self, analysis: Mapping[str, Any]) -> str:
        """See ``ports.Suite``."""
        return describe_analysis(analysis)

    def case_scores(self, run: BenchRun) -> dict[str, tuple[float | None, ...]]:
        """See ``ports.Suite``."""
        return headline_scores(run)

    def headline(self, run: BenchRun) -> str:
        """See ``ports.Suite``."""
        return score_name(run)

    def is_rate(self, run: BenchRun) -> bool:
        """See ``ports.Suite``: upstream's own verdict (RULER) may lie between."""
        return all(case.payload.get("kind") != EXTERNAL for case in run.cases.cases)


def to_grade(verdict: Verdict) -> Grade:
    """A verdict as the record of this grader."""
    extracted = {} if verdict.extracted is None else {"extracted": verdict.extracted[:MAX_ANSWER_CHARS]}
    return Grade(
        ts=utc(),
        trial=0,
        grader=GRADER,
        score=None if verdict.correct is None else float(verdict.correct),
        correct=verdict.correct,
        answer=verdict.answer,
        detail=extracted | verdict.detail,
    )
