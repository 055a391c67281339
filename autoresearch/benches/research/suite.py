"""Suite R: research agents that find papers with a search tool (AutoResearchBench, arXiv 2604.25256)."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.ports import Attempt, Bench, BenchRun, Infrastructure
from autoresearch.benches.records import BenchTrial, Grade
from autoresearch.benches.research.agent import Limits, ResearchAgent
from autoresearch.benches.research.analysis import analyze_run, case_scores, describe_analysis
from autoresearch.benches.research.cases import gold_papers, load_cases
from autoresearch.benches.research.evidence import probe, trial_evidence
from autoresearch.benches.research.grading import GRADER, grade_trial
from autoresearch.benches.research.prompt import MAX_TOP_K, PROMPT_TEXT
from autoresearch.benches.research.retrievers.port import Retriever, RetrieverFailed
from autoresearch.benches.research.retrievers.spec import (
    FORMS,
    build_retriever,
    load_corpora,
    parse_spec,
)
from autoresearch.benches.research.trace import Trace
from autoresearch.errors import ConfigError

DEFAULT_TOP_K = 10


class ResearchSuite:
    """See ``ports.Suite``. Retrievers are built once, at the first attempt, and shared by all threads."""

    name = "research"
    grader = GRADER
    needs_model = True
    prompt_text = PROMPT_TEXT

    def __init__(self) -> None:
        self._retriever: Retriever | None = None
        self._probes: dict[tuple[str, str], dict[str, Any]] = {}

    @property
    def default_limits(self) -> Mapping[str, float]:
        """Of one attempt; see ``agent.Limits``."""
        limits = Limits()
        return {
            "max_turns": float(limits.max_turns),
            "max_prompt_tokens": float(limits.max_prompt_tokens),
            "max_completion_tokens": float(limits.max_completion_tokens),
            "timeout_s": limits.timeout_s,
        }

    def add_flags(self, parser: argparse.ArgumentParser) -> None:
        """``--retriever`` and ``--top-k``."""
        parser.add_argument(
            "--retriever",
            action="append",
            default=[],
            metavar="KIND:SOURCE",
            help="bm25:FILE, http:URL, or embeddings:FILE@URL; several are fused by reciprocal rank",
        )
        parser.add_argument(
            "--top-k",
            type=int,
            default=DEFAULT_TOP_K,
            metavar="N",
            help=f"papers of one search where the model gives no number (default {DEFAULT_TOP_K})",
        )

    def options(self, args: argparse.Namespace) -> dict[str, Any]:
        """Retrievers, the hashes of their corpora, and top_k, as records hold them: a corpus by its name and
        contents, not by its folder. Builds the retriever too. Raises ``ConfigError``, ``CorpusError`` and
        ``MissingPackage``.
        """
        specs = [parse_spec(text) for text in args.retriever]
        if not specs:
            raise ConfigError("suite research needs a retriever", hint=FORMS)
        if not 1 <= args.top_k <= MAX_TOP_K:
            raise ConfigError(f"--top-k {args.top_k} is not from 1 to {MAX_TOP_K}", hint="10 is upstream's own")
        corpora = load_corpora(specs)
        self._retriever = build_retriever(specs, corpora)
        return {
            "retrievers": [spec.name for spec in specs],
            "corpora": {Path(file).name: corpus.sha256 for file, corpus in corpora.items()},
            "top_k": args.top_k,
        }

    def load(self, source: Path) -> CaseSet:
        """See ``cases.load_cases``."""
        return load_cases(source)

    def attempt(self, case: Case, sample: int, bench: Bench) -> Attempt:
        """Measure the retriever by itself, then run the agent."""
        assert bench.chat is not None
        assert self._retriever is not None, "options() comes first"
        retriever = self._retriever
        try:
            probed = self._probe(retriever, case)
        except RetrieverFailed as e:
            raise Infrastructure(e.cause, f"retriever: {e.detail}") from e
        agent = ResearchAgent(
            bench.chat,
            retriever,
            _limits(bench.limits),
            top_k=int(bench.options["top_k"]),
            stopped=bench.stopped,
        )
        is_deep = case.payload["type"] == "deep"
        trace = agent.run(case.payload["question"], is_deep=is_deep)
        nominated = [trace.candidates.nominee] if is_deep else trace.candidates.accumulated
        answer = ", ".join(paper.key for paper in nominated if paper)
        return Attempt(
            trace.status,
            answer or None,
            tuple(trace.turns),
            _total(trace, "input_tokens"),
            _total(trace, "output_tokens"),
            trial_evidence(trace, retriever, probed),
        )

    def grade(self, case: Case, trial: BenchTrial, folder: Path) -> Grade:
        """See ``grading.grade_trial``."""
        return grade_trial(case, trial, trial.ts)

    def analyze(self, run: BenchRun) -> dict[str, Any]:
        """See ``analysis.analyze_run``."""
        return analyze_run(run)

    def describe(self, analysis: Mapping[str, Any]) -> str:
        """The figures as text."""
        return describe_analysis(analysis)

    def case_scores(self, run: BenchRun) -> dict[str, tuple[float | None, ...]]:
        """Accuracy@1 of a Deep case, IoU of a Wide one."""
        return case_scores(run)

    def headline(self, run: BenchRun) -> str:
        """The name of that score."""
        kinds = {case.payload["type"] for case in run.cases.cases}
        names = {"deep": "Accuracy@1", "wide": "IoU"}
        return names[kinds.pop()] if len(kinds) == 1 else "Accuracy@1 (Deep), IoU (Wide)"

    def is_rate(self, run: BenchRun) -> bool:
        """See ``ports.Suite``: an IoU is not."""
        return all(case.payload["type"] == "deep" for case in run.cases.cases)

    def _probe(self, retriever: Retriever, case: Case) -> dict[str, Any]:
        """The retriever's own result for a question: once for all samples of a case."""
        key = (retriever.name, case.id)
        if key not in self._probes:
            self._probes[key] = probe(retriever, case.payload["question"], gold_papers(case))
        return self._probes[key]


def _limits(limits: Mapping[str, float]) -> Limits:
    default = Limits()
    return Limits(
        max_turns=int(limits.get("max_turns", default.max_turns)),
        max_prompt_tokens=int(limits.get("max_prompt_tokens", default.max_prompt_tokens)),
        max_completion_tokens=int(limits.get("max_completion_tokens", default.max_completion_tokens)),
        timeout_s=limits.get("timeout_s", default.timeout_s),
    )


def _total(trace: Trace, key: str) -> int | None:
    """The sum over the turns, or ``None`` where the server did not report one of them."""
    if any(key in turn.get("estimated", ()) for turn in trace.turns):
        return None
    return sum(int(turn[key]) for turn in trace.turns)
