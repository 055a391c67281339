"""What a trial of suite R records beside its turns, and how the analysis reads it back, of own and of imported runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoresearch.benches.records import BenchTrial
from autoresearch.benches.research.papers import Paper, find_paper, same_paper
from autoresearch.benches.research.retrievers.port import Retriever
from autoresearch.benches.research.trace import Trace

PROBE_K = 50


def probe(retriever: Retriever, question: str, gold: Sequence[Paper]) -> dict[str, Any]:
    """The retriever by itself, with the question as the query: the rank of each gold paper among the first 50 results.

    Raises ``RetrieverFailed``.
    """
    found = [document.paper for document in retriever.search(question, PROBE_K)]
    places = [find_paper(g, found) for g in gold]
    ranks = [None if place is None else place + 1 for place in places]
    has = [retriever.has(g) for g in gold]
    indexed = [True if rank is not None else h for rank, h in zip(ranks, has, strict=True)]
    return {"k": PROBE_K, "returned": len(found), "ranks": ranks, "indexed": indexed}


def trial_evidence(trace: Trace, retriever: Retriever, probed: Mapping[str, Any]) -> dict[str, Any]:
    """The evidence of an attempt."""
    nominee = trace.candidates.nominee
    return {
        "ended_by": trace.ended_by,
        "detail": trace.detail,
        "retriever": retriever.name,
        "probe": dict(probed),
        "candidate_state": trace.candidates.state,
        "candidates": [paper_json(paper) for paper in trace.candidates.accumulated],
        "candidate_count": len(trace.candidates.accumulated),
        "candidates_cleared": trace.candidates.cleared,
        "nominee": paper_json(nominee) if nominee else None,
        "messages": trace.messages,
    } | ({"tools_refused": trace.tools_refused} if trace.tools_refused else {})


def paper_json(paper: Paper) -> dict[str, str]:
    """A paper as evidence."""
    return {"id": paper.id, "title": paper.title}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The evidence of a trial, read back. ``None`` is what the run does not record."""

    candidates: tuple[Paper, ...] | None
    nominee: Paper | None
    is_nominee_known: bool
    seen: tuple[Paper, ...]
    unseen_results: int  # results whose papers are not recorded; 1 where the turns are not
    indexed: tuple[bool | None, ...] | None  # of each gold paper
    ranks: tuple[int | None, ...] | None
    ended_by: str | None

    @property
    def first(self) -> Paper | None:
        """The first candidate that was accumulated, which upstream's grader scores."""
        return self.candidates[0] if self.candidates else None

    def saw(self, gold: Paper) -> bool | None:
        """Whether a search of the attempt returned this paper."""
        if any(same_paper(gold, paper) for paper in self.seen):
            return True
        return None if self.unseen_results else False


def read_outcome(trial: BenchTrial) -> Outcome:
    """The outcome of a trial."""
    evidence = trial.evidence
    raw = evidence.get("candidates")
    if raw is None and evidence.get("candidate_count") == 0:
        raw = []
    probed = evidence.get("probe") or {}
    turns = trial.turns
    unrecorded = sum(_results_of(turn) for turn in turns if turn.get("papers") is None)
    nominee = evidence.get("nominee")
    return Outcome(
        candidates=None if raw is None else tuple(_paper(item) for item in raw),
        nominee=_paper(nominee) if nominee else None,
        is_nominee_known=raw is not None and "nominee" in evidence,
        seen=tuple(_paper(item) for turn in turns for item in turn.get("papers") or ()),
        unseen_results=unrecorded + lacks_turns(trial),
        indexed=tuple(probed["indexed"]) if "indexed" in probed else None,
        ranks=tuple(probed["ranks"]) if "ranks" in probed else None,
        ended_by=evidence.get("ended_by"),
    )


def lacks_turns(trial: BenchTrial) -> bool:
    """Whether an attempt that cannot have ended so without a turn has none: they are not recorded."""
    return not trial.turns and trial.status in ("finished", "max_turns_reached")


def _results_of(turn: Mapping[str, Any]) -> int:
    """How many results a turn had; a search whose number is not recorded may have had one."""
    number = turn.get("papers_retrieved_this_turn")
    return int(is_search(turn)) if number is None else int(number)


def _paper(item: Mapping[str, str]) -> Paper:
    return Paper(item["id"], item["title"])


def searched(turns: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a search of the attempt ran, with or without results."""
    return any(is_search(turn) for turn in turns)


def is_search(turn: Mapping[str, Any]) -> bool:
    """Whether a search ran in this turn. In own runs a call in the last turn is recorded, but not run."""
    return turn.get("action") == "tool" and turn.get("queries") != []


def is_format_error(turn: Mapping[str, Any]) -> bool:
    """An error of the model: the server answered, so there are output tokens."""
    return turn.get("action") == "error" and bool(turn.get("output_tokens"))


def is_server_error(turn: Mapping[str, Any]) -> bool:
    """An ``error`` turn without output tokens is a failure of the server, the transport or the program."""
    return turn.get("action") == "error" and not turn.get("output_tokens")
