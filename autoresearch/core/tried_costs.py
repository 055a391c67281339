"""Seconds and memory of what a run has tried, for rail R7 where nothing else estimates them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autoresearch.core.measurement import Failure, Measurement, Outcome
from autoresearch.core.records import ProposalRecord
from autoresearch.core.values import KnobValue


@dataclass(frozen=True, slots=True)
class TriedCost:
    """The most that the trials of one change took; of the baseline if ``knob`` is ``None``."""

    knob: str | None
    value: KnobValue | None
    seconds: float
    peak_bytes: int | None


def costs_of(proposal: ProposalRecord | None, outcomes: Iterable[Outcome]) -> Iterator[TriedCost]:
    """The cost of these trials of one configuration; none where none ran, or of several changes."""
    seconds, peaks = [], []
    for outcome in outcomes:
        match outcome:
            case Measurement():
                seconds.append(outcome.train_wall_s)
            case Failure(trial_wall_s=float() as wall_s):
                seconds.append(wall_s)
            case _:
                continue
        peaks += [] if outcome.peak_bytes is None else [outcome.peak_bytes]
    if seconds and not (proposal and proposal.also):  # of several changes it is not known which one costs
        knob, value = (proposal.knob, proposal.new_value) if proposal else (None, None)
        yield TriedCost(knob, value, max(seconds), max(peaks, default=None))
