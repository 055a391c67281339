"""Why a gold paper was not nominated in an attempt: the first thing that went wrong, in the order of the attempt."""

from __future__ import annotations

from typing import Literal

from autoresearch.benches.records import BenchTrial
from autoresearch.benches.research.evidence import Outcome, is_format_error, is_server_error, lacks_turns, searched
from autoresearch.benches.research.papers import Paper

Part = Literal["model", "format", "context", "retrieval", "infrastructure", "model or retrieval", "unknown"]
Loss = Literal[
    "missing",
    "server",
    "never searched",
    "tool format",
    "overflow",
    "not indexed",
    "not returned",
    "worse query",
    "seen, not nominated",
    "searched, not nominated",
    "not recorded",
]

# In the order of an attempt: the part that each loss points at, and the loss in words.
LOSSES: dict[Loss, tuple[Part, str]] = {
    "missing": ("infrastructure", "the attempt has no result"),
    "server": ("infrastructure", "the server failed or refused the request"),
    "never searched": ("model", "the model finished without a search"),
    "tool format": ("format", "no call that could be read"),
    "overflow": ("context", "the context was full"),
    "not indexed": ("retrieval", "the index does not have the paper"),
    "not returned": (
        "retrieval",
        "no search returned the paper",
    ),
    "worse query": ("model", "the question itself as a query returns the paper, the model's queries do not"),
    "seen, not nominated": ("model", "a search returned the paper, and the model did not nominate it"),
    "searched, not nominated": ("model or retrieval", "it is not recorded which papers the searches returned"),
    "not recorded": ("unknown", "the run does not record the nominated papers or the turns"),
}


def find_loss(trial: BenchTrial, outcome: Outcome, place: int, gold: Paper, top_k: int) -> Loss:
    """Why ``gold``, the gold paper at ``place``, was not nominated. ``top_k``: results of a search of the model."""
    if lacks_turns(trial):
        return "not recorded"
    is_full = trial.status in ("context_length_exceeded", "max_tokens_reached")
    saw = outcome.saw(gold)
    if not searched(trial.turns):
        if outcome.ended_by == "format" or any(is_format_error(turn) for turn in trial.turns):
            return "tool format"
        return "overflow" if is_full else "server" if _server_failed(trial) else "never searched"
    if is_full:
        return "overflow"
    if _server_failed(trial):
        return "server"
    if outcome.ended_by == "format":
        return "tool format"
    if saw is True:
        return "seen, not nominated"
    indexed = outcome.indexed[place] if outcome.indexed else None
    if indexed is False:
        return "not indexed"
    if saw is None:
        return "searched, not nominated"
    rank = outcome.ranks[place] if outcome.ranks else None
    if rank is not None and rank <= top_k:
        return "worse query"
    return "not returned"


def _server_failed(trial: BenchTrial) -> bool:
    """Whether the server ended the attempt; a trial with status ``error`` and without turns did not reach it."""
    if trial.status == "api_error":
        return True
    return trial.status == "error" and (not trial.turns or is_server_error(trial.turns[-1]))
