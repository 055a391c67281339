"""A run in upstream's own form, one line a case, so that the graders of AutoResearchBench run on it.

A planned attempt that is missing becomes a result with status ``error`` and no candidate, as upstream itself writes one
that failed: its graders need as many results of each case. ``missing: true`` says so, and ``import`` leaves it out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from autoresearch.benches.cases import Case
from autoresearch.benches.ports import BenchRun
from autoresearch.benches.records import BenchTrial
from autoresearch.core.text import escape_control
from autoresearch.errors import ConfigError

OWN = "autoresearch"  # the key of what upstream's form has no place for
TURN_KEYS = (
    "turn",
    "duration",
    "input_tokens",
    "output_tokens",
    "action",
    "action_content",
    "papers_retrieved_this_turn",
    "error_message",
)
OWN_KEYS = ("nominee", "ended_by", "probe", "retriever")
OWN_TURN_KEYS = ("papers", "queries", "call_source", "call_formats", "call_errors", "context_tokens", "finish_reason")
COUNTS = ("duration", "input_tokens", "output_tokens", "papers_retrieved_this_turn")  # upstream's graders add them up


def export_run(run: BenchRun) -> Iterator[str]:
    """One JSON line a case. Raises ``ConfigError`` for a run that does not record which papers were nominated."""
    for (case_id, sample), graded in run.trials.items():
        evidence = graded.trial.evidence
        if evidence.get("candidates") is None and evidence.get("candidate_count") != 0:
            raise ConfigError(
                f"case {escape_control(case_id)}, sample {sample}: the nominated papers are not recorded",
                hint="export a run that ran here, or one that was imported from upstream's own output",
            )
    for case in run.cases.cases:
        results = [_result(run, case, sample) for sample in range(run.meta.samples)]
        yield json.dumps({"input_data": case.payload["input"], "inference_results": results}, ensure_ascii=False)


def _result(run: BenchRun, case: Case, sample: int) -> dict[str, Any]:
    graded = run.trials.get((case.id, sample))
    if graded is None:
        why = run.unavailable.get((case.id, sample))
        detail = f"not attempted: {why.cause}: {why.detail}" if why else "not attempted"
        turn = {"turn": 1, "action": "error", "error_message": detail, **dict.fromkeys(COUNTS, 0)}
        return _form("error", 0.0, [], [], "empty", [turn], sample) | {"missing": True}
    trial = graded.trial
    candidates = trial.evidence.get("candidates") or []
    state = trial.evidence.get("candidate_state") or ("ids" if candidates else "empty")
    result = _form(
        trial.status,
        _seconds(trial),
        trial.evidence.get("messages") or [],
        [_candidate(position, paper) for position, paper in enumerate(candidates)],
        state,
        [_turn(turn) for turn in trial.turns],
        sample,
    )
    own: dict[str, Any] = {key: trial.evidence[key] for key in OWN_KEYS if key in trial.evidence}
    own["turns"] = [{key: turn[key] for key in OWN_TURN_KEYS if key in turn} for turn in trial.turns]
    own |= {"model": run.meta.model, "top_k": run.meta.options.get("top_k")}
    return result | {OWN: own}


def _form(
    status: str,
    seconds: float,
    messages: list[Any],
    candidates: list[dict[str, Any]],
    state: str,
    turns: list[dict[str, Any]],
    sample: int,
) -> dict[str, Any]:
    return {
        "status": status,
        "total_time": seconds,
        "messages": messages,
        "final_candidates": candidates,
        "final_candidate_state": state,
        "turn_details": turns,
        "pass_id": sample,
    }


def _seconds(trial: BenchTrial) -> float:
    return trial.wall_s if trial.wall_s is not None else sum(turn.get("duration") or 0.0 for turn in trial.turns)


def _candidate(position: int, paper: Mapping[str, str]) -> dict[str, Any]:
    """Upstream's Deep grader reads ``metadata.title``, its Wide grader ``arxiv_id``."""
    title = paper["title"]
    return {
        "id": position,
        "paper_id": position,
        "paper_title": title,
        "arxiv_id": paper["id"],
        "metadata": {"title": title},
    }


def _turn(turn: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: turn[key] for key in TURN_KEYS if key in turn}
    return kept | {key: turn.get(key) or 0 for key in COUNTS}
