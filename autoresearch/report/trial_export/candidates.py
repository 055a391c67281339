"""The baseline and each candidate of a run with what its trials came to, for tools that know one value per trial. Pure.

A candidate that the rails refused, or that is still being measured, is not among them: it has no trial that ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from autoresearch.core.records import (
    Baseline,
    CandidateTried,
    EvalFailed,
    Evaluated,
    Event,
    Meta,
    Proposed,
    StoppedEarly,
    TrialEnded,
    TrialStarted,
)
from autoresearch.core.values import Cfg
from autoresearch.errors import JournalDamaged
from autoresearch.report.native import metric_of

State = Literal["measured", "failed", "stopped early"]


@dataclass(frozen=True, slots=True)
class Space:
    """What a run searches, and for what: fixed by its first record."""

    meta: Meta

    @property
    def higher_is_better(self) -> bool:
        kind = metric_of(self.meta.yardstick)
        return kind is not None and kind.direction == "higher"

    @property
    def metric_name(self) -> str:
        kind = metric_of(self.meta.yardstick)
        return kind.name if kind else "val_bpb"

    @property
    def knobs(self) -> Mapping[str, Mapping[str, Any]]:
        """The entries of the menu."""
        knobs: Mapping[str, Mapping[str, Any]] = self.meta.menu.get("knobs", {})
        return knobs

    @property
    def facts(self) -> dict[str, Any]:
        """What identifies the run, as plain JSON."""
        meta = self.meta
        return {
            "run_id": meta.run_id,
            "profile": meta.profile,
            "autoresearch_version": meta.autoresearch_version,
            "yardstick_sha256": meta.yardstick_sha256,
            "metric": self.metric_name,
            "baseline_cfg": meta.baseline_cfg,
            "decision_rule": meta.decision_rule.model_dump(mode="json"),
        }


@dataclass(frozen=True, slots=True)
class ClosedCandidate:
    """``iter`` 0 is the baseline. ``value`` is the mean over its trials, in the unit of the metric."""

    iter: int
    state: State
    cfg: Cfg
    value: float | None
    started: str  # the time stamps of its first trial, and of the record that closed it
    ended: str
    facts: Mapping[str, Any]  # as plain JSON; what is not known is left out
    outcomes: tuple[TrialEnded, ...] = ()  # of its trials


def split_meta(records: Iterable[Event]) -> tuple[Meta, Iterator[Event]]:
    """The first record and the others. Raises ``JournalDamaged`` if it is another one than ``meta``."""
    events = iter(records)
    meta = next(events, None)
    if not isinstance(meta, Meta):
        raise JournalDamaged("the first record is not meta", hint="copy the file from its run directory again")
    return meta, events


def closed_candidates(records: Iterable[Event]) -> Iterator[ClosedCandidate]:
    """The baseline, then each candidate whose iteration is closed; the trials of the open ones are held."""
    began: dict[int, str] = {}  # by iteration: when its first trial started, or one of the baseline for it
    seeds: dict[int, int] = {}  # by trial
    outcomes: dict[int, TrialEnded] = {}
    open_iters = {0}  # several in a parallel run
    for record in records:
        match record:
            case TrialStarted():
                began.setdefault(record.for_iter or record.iter, record.ts)
                seeds[record.trial] = record.seed
            case TrialEnded():
                seeds[record.trial] = record.seed
                outcomes[record.trial] = record
            case Proposed():
                open_iters.add(record.iter)
            case Baseline() | CandidateTried():
                number = record.iter if isinstance(record, CandidateTried) else 0
                own = [seeds[n] for n in record.trials if n in seeds]
                ended = tuple(outcomes[n] for n in sorted(record.trials) if n in outcomes)
                yield replace(_close(record, began.get(number, record.ts), own), outcomes=ended)
                open_iters.discard(number)
                outcomes = {n: outcome for n, outcome in outcomes.items() if outcome.iter in open_iters}
                began = {n: ts for n, ts in began.items() if n in open_iters}


def _close(record: Baseline | CandidateTried, started: str, seeds: list[int]) -> ClosedCandidate:
    facts: dict[str, Any] = {"trials": list(record.trials), "seeds": seeds}
    if isinstance(record, Baseline):
        facts = {"role": "baseline", "iter": 0, **facts}
        return ClosedCandidate(0, "measured", record.baseline_cfg, record.value, started, record.ts, facts)
    facts = {"role": "candidate", "iter": record.iter, **facts, "source": record.source}
    facts |= {"change": record.proposal.text, "reason": record.proposal.reason}
    state: State = "measured"
    value = None
    match record:
        case Evaluated():
            value = record.value
            facts |= {"decision": record.decision, "gain_frac": record.improvement_frac}
            facts |= {"label": record.evidence.label} if record.evidence else {}
        case StoppedEarly():
            point = record.eval_metrics.stopped_early
            state = "stopped early"
            facts |= {"decision": record.decision, "label": record.label, "stopped_at_frac": point.fraction}
        case EvalFailed():
            state = "failed"
            facts |= {"cause": str(record.cause), "detail": record.eval_metrics.detail}
        case _:
            raise TypeError(f"unknown record {record!r:.80}")
    return ClosedCandidate(record.iter, state, record.candidate_cfg, value, started, record.ts, facts)
