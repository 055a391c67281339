"""What a night's proposals were: refusals, repeats, failures, calls of a model, tokens and seconds. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from autoresearch.benches.proposers.virtual_run import NO_DATA
from autoresearch.core.llm_calls import LLM_SOURCE
from autoresearch.core.records import EvalFailed, Evaluated, Event, IterationRecord, Proposed
from autoresearch.core.values import FrozenModel
from rails import Rail


class Counts(FrozenModel):
    """Sums over one night, or several. Every count is of proposals but where named."""

    iterations: int = 0  # closed
    proposals: int = 0  # judged, those beside an accepted one included
    refused: dict[str, int] = Field(default_factory=dict)  # by rail, without those for want of data
    no_data: int = 0
    repeats: int = 0  # refused by R6: known already
    blocked: int = 0  # iterations without a candidate
    proposer_failed: int = 0  # iterations in which the proposer raised
    crashes: dict[str, int] = Field(default_factory=dict)  # candidates whose trial failed, by cause
    evaluated: int = 0  # candidates with a verdict
    by_source: dict[str, int] = Field(default_factory=dict)  # candidates by their source
    calls: dict[str, int] = Field(default_factory=dict)  # of the model, by their classification
    tokens_in: int | None = None  # null where no call reports it
    tokens_out: int | None = None
    llm_s: float = 0.0
    propose_s: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        fields: dict[str, Any] = {}
        for name in Counts.model_fields:
            a, b = getattr(self, name), getattr(other, name)
            if isinstance(a, Mapping):
                fields[name] = dict((Counter(a) + Counter(b)).most_common())
            else:
                fields[name] = b if a is None else a if b is None else a + b
        return Counts(**fields)


def count_night(records: Iterable[Event]) -> Counts:
    """Count the iterations of a trajectory, and the proposals of one that its end left open."""
    total = Counts()
    left_open: Proposed | None = None
    for record in records:
        if isinstance(record, Proposed):
            left_open = record
        elif isinstance(record, IterationRecord):
            left_open = None
            total += _count_proposals(record) + _count_end(record)
    return total + _count_proposals(left_open) if left_open else total


def _count_proposals(record: IterationRecord | Proposed) -> Counts:
    refused = Counter(a.rail.value for a in record.attempts if not a.verdict_ok and not a.reason.startswith(NO_DATA))
    calls = record.llm_calls
    tokens_in = [c.prompt_tokens for c in calls if c.prompt_tokens is not None]
    tokens_out = [c.completion_tokens for c in calls if c.completion_tokens is not None]
    is_candidate = record.stage in ("proposed", "evaluated", "eval_failed", "stopped_early")
    return Counts(
        proposals=len(record.attempts),
        refused=dict(refused),
        no_data=sum(not a.verdict_ok and a.reason.startswith(NO_DATA) for a in record.attempts),
        repeats=refused[Rail.R6_NOVELTY.value],
        by_source={record.source: 1} if is_candidate else {},
        calls=dict(Counter(c.classification.value for c in calls)),
        tokens_in=sum(tokens_in) if tokens_in else None,
        tokens_out=sum(tokens_out) if tokens_out else None,
        llm_s=sum(c.latency_s for c in calls),
        propose_s=record.propose_wall_s,
    )


def _count_end(record: IterationRecord) -> Counts:
    return Counts(
        iterations=1,
        blocked=int(record.stage == "blocked"),
        proposer_failed=int(record.stage == "proposer_failed"),
        crashes={record.cause.value: 1} if isinstance(record, EvalFailed) else {},
        evaluated=int(isinstance(record, Evaluated)),
    )


def source_share(counts: Counts) -> float | None:
    """The share of candidates that the model proposed; ``None`` without a candidate."""
    candidates = sum(counts.by_source.values())
    return counts.by_source.get(LLM_SOURCE, 0) / candidates if candidates else None
