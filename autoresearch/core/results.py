"""What later proposals need of each closed iteration, small enough to be read whole for each of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from autoresearch.core.measurement import Cause
from autoresearch.core.records import (
    Attempt,
    EvalFailed,
    Evaluated,
    IterationRecord,
    ProposalRecord,
    StoppedEarly,
)
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
    """A closed iteration. What follows ``source`` is empty without a candidate that was tried.

    ``knob`` and ``new_value`` are null too where several knobs were changed: the effect is of none of them alone.
    """

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
    several: tuple[tuple[str, KnobValue], ...] = ()  # the changes of a candidate of more than one
    known: int | None = None  # how many results there were when it was proposed; null: all before it, in a serial run

    @property
    def changes(self) -> tuple[tuple[str, KnobValue], ...]:
        """What the candidate changed; empty without one."""
        if self.knob is None or self.new_value is None:
            return self.several
        return ((self.knob, self.new_value),)


def result_of(record: IterationRecord) -> Result:
    """Return what is kept of ``record``."""
    refused, sources = _refused(record), _sources(record.attempts)
    head, tail = (record.iter, record.stage, record.source), (refused, sources)
    match record:
        case Evaluated(proposal=p):
            is_keep = record.decision == "keep"
            loss, gain, trials = record.loss, record.improvement_frac, len(record.trials)
            return Result(*head, *one_change(p), loss, gain, is_keep, trials, None, "", *tail, several=several(p))
        case StoppedEarly(proposal=p):
            return Result(
                *head,
                *one_change(p),
                refused=refused,
                reply_sources=sources,
                stopped=record.eval_metrics.stopped_early,
                several=several(p),
            )
        case EvalFailed(proposal=p):
            failure = (record.cause, record.eval_metrics.detail)
            return Result(*head, *one_change(p), None, None, False, 0, *failure, *tail, several=several(p))
        case _:
            return Result(*head, refused=refused, reply_sources=sources)


def one_change(proposal: ProposalRecord) -> tuple[str | None, KnobValue | None]:
    """Knob and value of a proposal of one change; nulls for several."""
    return (None, None) if proposal.also else (proposal.knob, proposal.new_value)


def several(proposal: ProposalRecord) -> tuple[tuple[str, KnobValue], ...]:
    """The changes of a proposal of more than one; empty for one."""
    return proposal.changes if proposal.also else ()


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
    return tuple(Refused(one_change(a.proposal)[0] if a.proposal else None, a.rail, a.reason) for a in refused)
