"""What later proposals need of each closed iteration, small enough to be read whole for each of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from autoresearch.core.measurement import Cause
from autoresearch.core.records import Attempt, EvalFailed, Evaluated, IterationRecord, StoppedEarly
from autoresearch.core.stopped_trial import StopPoint
from autoresearch.core.values import KnobValue
from rails import Rail


@dataclass(frozen=True, slots=True)
class Refused:
    """An attempt that a rail refused; ``knob`` is null where the refusal names no proposal."""

    knob: str | None
    rail: Rail
    reason: str  # untrusted: it quotes the proposer


@dataclass(frozen=True, slots=True)
class Result:
    """A closed iteration. ``knob`` and what follows it are null without a candidate that was tried."""

    iter: int
    stage: Literal["evaluated", "stopped_early", "eval_failed", "blocked", "proposer_failed"]
    source: str
    knob: str | None = None
    new_value: KnobValue | None = None
    loss: float | None = None  # ``val_bpb``, or the metric as a loss; not shown
    improvement_frac: float | None = None
    is_keep: bool = False
    trials: int = 0
    cause: Cause | None = None  # of a failure
    detail: str = ""  # of a failure: untrusted
    refused: tuple[Refused, ...] = ()
    reply_sources: tuple[str, ...] = ()  # who gave each of its replies
    stopped: StopPoint | None = None  # where its trial was stopped early: it has no val_bpb and no gain


def result_of(record: IterationRecord) -> Result:
    """Return what is kept of ``record``."""
    refused, sources = _refused(record), _sources(record.attempts)
    head, tail = (record.iter, record.stage, record.source), (refused, sources)
    match record:
        case Evaluated(proposal=p):
            is_keep = record.decision == "keep"
            loss, gain, trials = record.loss, record.improvement_frac, len(record.trials)
            return Result(*head, p.knob, p.new_value, loss, gain, is_keep, trials, None, "", *tail)
        case StoppedEarly(proposal=p):
            return Result(
                *head,
                p.knob,
                p.new_value,
                refused=refused,
                reply_sources=sources,
                stopped=record.eval_metrics.stopped_early,
            )
        case EvalFailed(proposal=p):
            failure = (record.cause, record.eval_metrics.detail)
            return Result(*head, p.knob, p.new_value, None, None, False, 0, *failure, *tail)
        case _:
            return Result(*head, refused=refused, reply_sources=sources)


def replies_of(attempts: Sequence[Attempt]) -> list[tuple[Attempt, ...]]:
    """Group an iteration's attempts by reply. In old records without ``round`` each attempt is a reply of its own."""
    rounds: dict[tuple[str, int], list[Attempt]] = {}
    for place, attempt in enumerate(attempts):
        number = ("round", attempt.round) if "round" in attempt.model_fields_set else ("place", place)
        rounds.setdefault(number, []).append(attempt)
    return [tuple(reply) for reply in rounds.values()]


def _sources(attempts: Sequence[Attempt]) -> tuple[str, ...]:
    if len(attempts) == 1:
        return (attempts[0].source,)
    return tuple(reply[0].source for reply in replies_of(attempts))


def _refused(record: IterationRecord) -> tuple[Refused, ...]:
    if record.verdict_ok and len(record.attempts) == 1:  # its one attempt passed
        return ()
    refused = (a for a in record.attempts if not a.verdict_ok)
    return tuple(Refused(a.proposal.knob if a.proposal else None, a.rail, a.reason) for a in refused)
