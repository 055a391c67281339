"""Whether the records of a run agree with each other: numbers, configurations, trials and counts. Pure.

A verdict that follows from its trials proves little if the record names another configuration than was trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from autoresearch.core.decision import next_baseline_trial
from autoresearch.core.records import (
    Baseline,
    CandidateTried,
    Evaluated,
    Event,
    IterationRecord,
    LoopComplete,
    Meta,
    Proposed,
    TrialEnded,
    TrialStarted,
    Unsealed,
)
from autoresearch.core.trajectory import Trajectory, measurements
from autoresearch.core.values import Cfg
from autoresearch.core.vault import build_unsealed, trials_to_unseal
from autoresearch.report.difference import Difference

OF_THE_PROPOSAL = ("iter", "source", "proposal", "diff", "candidate_cfg")
OF_A_TRIAL = ("trial", "iter", "seed")
OF_A_VAULT = ("seeds", "trials", "baseline_trials", "val_gain_frac")
COUNTS = ("accept_count", "revert_count", "blocked_count", "failed_count")
Check = tuple[str, Any, Any]  # a field as recorded, and as the records before it give it


@dataclass(slots=True)
class Closed:
    """The iterations that are closed, counted as ``loop_complete`` has them."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))

    def add(self, record: Event) -> None:
        """Count a record that closes an iteration."""
        if isinstance(record, IterationRecord):
            kind = {"blocked": "blocked", "eval_failed": "failed", "proposer_failed": "failed"}.get(record.stage)
            is_keep = isinstance(record, Evaluated) and record.decision == "keep"
            self.counts[f"{kind or ('accept' if is_keep else 'revert')}_count"] += 1


def check_records(record: Event, run: Trajectory, closed: Closed) -> Difference | None:
    """The first field of ``record`` that contradicts the records before it."""
    if run.meta is None:
        return None
    for name, recorded, expected in _checks(record, run, run.meta, closed):
        if recorded != expected:
            field_name = f"{getattr(record, 'stage', 'record')}.{name}"
            return Difference(_iteration_of(record, run), field_name, recorded, expected, "the records before it")
    return None


def _checks(record: Event, run: Trajectory, meta: Meta, closed: Closed) -> Iterator[Check]:
    match record:
        case TrialStarted():
            yield from _trial_started(record, run, meta)
        case TrialEnded():
            for name in OF_A_TRIAL:
                yield name, getattr(record, name), getattr(run.running, name, None)
        case Baseline():
            yield "baseline_cfg", record.baseline_cfg, meta.baseline_cfg
            yield from _measured(record, run)
            if not run.parallel and (more := next_baseline_trial(run.comparison, meta.decision_rule)):
                yield "trials", list(record.trials), f"further ones: seed {more.seed} is not measured yet"
        case Proposed():
            yield "iter", record.iter, run.highest_iter + 1
            if run.baseline is None and not run.parallel:
                yield "iter", record.iter, "0, the baseline, first"
            yield "candidate_cfg", record.candidate_cfg, {**meta.baseline_cfg, **dict(record.proposal.changes)}
        case CandidateTried():
            yield from _candidate(record, run)
        case _ if isinstance(record, IterationRecord):
            yield "iter", record.iter, run.highest_iter + 1
        case Unsealed():
            yield from _vault(record, run)
        case LoopComplete():
            for name, count in closed.counts.items():
                yield name, getattr(record, name), count
            yield "best_iter", record.best_iter, run.best.iter if run.best else None
            yield "best_val_bpb", record.best_val_bpb, run.best.val_bpb if run.best else None


def _trial_started(record: TrialStarted, run: Trajectory, meta: Meta) -> Iterator[Check]:
    if not run.parallel:
        yield "trial", record.trial, run.next_trial
    if record.iter == 0:
        yield "cfg", record.cfg, meta.baseline_cfg
        return
    n, cfg = _open_configuration(run)
    yield "iter", record.iter, n
    yield "cfg", record.cfg, cfg


def _open_configuration(run: Trajectory) -> tuple[int | None, Cfg | None]:
    """The iteration whose candidate, or whose keep in the vault, is measured now."""
    if run.proposed is not None:
        return run.proposed.iter, run.proposed.candidate_cfg
    if run.sealed is not None:
        return run.sealed.keep.iter, run.sealed.keep.candidate_cfg
    return None, None


def _candidate(record: CandidateTried, run: Trajectory) -> Iterator[Check]:
    for name in OF_THE_PROPOSAL:
        yield name, getattr(record, name), getattr(run.proposed, name, None)
    if isinstance(record, Evaluated):
        yield from _measured(record, run)
        if not run.parallel:
            lowest = min(m.loss for m in measurements(run.outcomes))
            yield "is_new_best", record.is_new_best, run.lowest is None or lowest < run.lowest


def _measured(record: Baseline | Evaluated, run: Trajectory) -> Iterator[Check]:
    """The trials of a mean and the first measurement of them; a parallel run may leave some of its trials out."""
    by_number = {t.trial: t for t in run.outcomes}
    unknown = [trial for trial in record.trials if trial not in by_number]
    expected = [t for t in record.trials if t in by_number] if run.parallel else list(by_number)
    yield "trials", list(record.trials), expected if unknown or not run.parallel else list(record.trials)
    first = measurements(by_number[trial] for trial in record.trials)
    yield "eval_metrics", record.eval_metrics, first[0].without_curve() if first else None


def _vault(record: Unsealed, run: Trajectory) -> Iterator[Check]:
    yield "iter", record.iter, run.sealed.keep.iter if run.sealed else None
    if run.sealed is not None and not run.parallel:
        known = dict.fromkeys(trials_to_unseal(run.sealed, run.baseline_for_vault) - set(record.missing), 1.0)
        found = build_unsealed(run.sealed, run.baseline_for_vault, known, record.ts)
        for name in OF_A_VAULT:
            yield name, getattr(record, name), getattr(found, name)


def _iteration_of(record: Event, run: Trajectory) -> int:
    of_record = getattr(record, "iter", 0) or 0
    return of_record or (run.proposed.iter if run.proposed else 0)
