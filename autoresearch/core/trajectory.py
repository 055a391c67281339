"""The state of a run as a fold of its records, for the loop, the proposers and the reports. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from autoresearch.core.crown import add_finalist
from autoresearch.core.decision import Comparison, paired_gains, pairs_of
from autoresearch.core.earlier_curve import curves_of
from autoresearch.core.full_curves import full_curves, kind_of
from autoresearch.core.iterations import Iterations, Source
from autoresearch.core.measurement import RETRYABLE, Failure, Measurement, Outcome, Suspended
from autoresearch.core.open_work import OpenWork
from autoresearch.core.power import Metering, Phase, Power, Scope, merge_phases, scope_of
from autoresearch.core.records import (
    Baseline,
    CandidateTried,
    EvalFailed,
    Evaluated,
    Event,
    IterationRecord,
    Meta,
    Metered,
    ProposalRecord,
    Proposed,
    Race,
    SideTrial,
    SideTrialStarted,
    SideTrialSuspended,
    Started,
    Stopped,
    StoppedEarly,
    TrialEnded,
    TrialStarted,
    TrialSuspended,
    Unsealed,
)
from autoresearch.core.results import Result, result_of
from autoresearch.core.results import replies_of as replies_of
from autoresearch.core.stopped_trial import EarlyStop, EarlyStopRule
from autoresearch.core.tried_costs import TriedCost, costs_of
from autoresearch.core.values import sha256_of
from autoresearch.core.vault import SealedKeep
from autoresearch.verdicts.early_stop import MAX_CURVES, Curve
from rails import Tried


def _pairs(joules: Any) -> Any:
    return dict(joules) if isinstance(joules, list) else joules


# In JSON as pairs: an object cannot have the key null.
ScopeJoules = Annotated[
    dict[Scope | None, float], PlainSerializer(lambda joules: list(joules.items())), BeforeValidator(_pairs)
]


@dataclass(slots=True)
class Trajectory(OpenWork):
    """A fold of records in order. Only ``add`` changes it, and its result depends on the records alone.

    ``focus`` and ``aim`` move its focus (``open_work``), which changes nothing that it holds.

    A cache keeps the fields of a long run as JSON (``daemon/run_reader.py``): pydantic must be able to read each back.
    """

    meta: Meta | None = None
    baseline: Baseline | None = None
    iterations: Iterations = field(default_factory=Iterations)
    results: list[Result] = field(default_factory=list)  # of ``iterations``, for whatever reads them all
    baseline_outcomes: list[TrialEnded] = field(default_factory=list)  # those for a later candidate's seeds too
    earlier_gains: list[tuple[float, ...]] = field(default_factory=list)  # paired, of candidates with several seeds
    curves: list[Curve] = field(default_factory=list)  # of the latest full trials of candidates, and of earlier runs
    early_stop: EarlyStopRule | None = None  # of the last start
    vault_baseline: list[TrialEnded] = field(default_factory=list)  # of the baseline, for vaults: in no verdict
    unsealed: set[str] = field(default_factory=set)  # hashes of the configurations whose vault was
    candidates_tried: int = 0  # closed iterations with trials
    trials_started: int = 0  # a suspended trial that resumes counts once
    starts: int = 0
    best: Evaluated | None = None  # the keep with the largest gain
    finalists: list[Evaluated] = field(default_factory=list)  # the keeps with the best lower bounds, the best first
    race: Race | None = None  # the last one
    lowest: float | None = None  # the lowest loss of a single measurement in closed iterations and the baseline
    trials_j: ScopeJoules = field(default_factory=dict)  # of all trials; None: a log without scopes
    device_j: dict[str, float] = field(default_factory=dict)  # of the trials on each device with a meter of its own
    power: dict[Scope, dict[Phase, Power]] = field(default_factory=dict)  # of the whole run; scopes are never added
    metering: Metering | None = None  # of the last start
    baseline_retryable_failures: int = 0  # failures of the baseline that chance may have caused
    tried: Tried | None = None
    costs: list[TriedCost] = field(default_factory=list)  # of a run with a command, for R7

    @classmethod
    def fold(cls, records: Iterable[Event]) -> Trajectory:
        """Return the trajectory after ``records``."""
        trajectory = cls()
        for record in records:
            trajectory.add(record)
        return trajectory

    @property
    def energy_j(self) -> float | None:
        """Of all trials that were metered; ``None`` once their joules are of different scope."""
        return next(iter(self.trials_j.values())) if len(self.trials_j) == 1 else None

    @property
    def next_iter(self) -> int:
        """The number of the iteration that is open or comes next; of several, that of the first."""
        if self.parallel:
            return min(self.candidates, default=self.new_iter)
        return len(self.iterations) + 1

    @property
    def new_iter(self) -> int:
        """The number of the iteration that is proposed for, or will be next."""
        return self.highest_iter + 1 if self.parallel else len(self.iterations) + 1

    @property
    def comparison(self) -> Comparison:
        """What a verdict on the open iteration's candidate may rest on."""
        earlier_runs = self.meta.earlier_runs if self.meta else ()
        if self.parallel:  # what a verdict may rest on was fixed when the candidate was proposed: ``confirmation``
            gains = self.earlier_gains[: self.gains_then]
            then, best = self.baseline_then, self.best_then
            return Comparison(self.outcomes, self.baseline_outcomes, gains, self.test, earlier_runs, then, best)
        test = self.candidates_tried + 1
        gains = self.earlier_gains
        return Comparison(self.outcomes, self.baseline_outcomes, gains, test, earlier_runs, best=self.best)

    @property
    def baseline_for_vault(self) -> list[TrialEnded]:
        """The baseline's trials with which a keep is compared on the test split."""
        return [*self.vault_baseline, *self.baseline_outcomes]

    @property
    def keeps(self) -> list[Evaluated]:
        return [r for r in self.iterations if isinstance(r, Evaluated) and r.decision == "keep"]

    @property
    def winner(self) -> Evaluated | None:
        """The keep that the next run would take as its baseline: that of the race, or the best lower bound."""
        if self.race is not None and self.is_raced:
            return next((keep for keep in self.finalists if keep.iter == self.race.winner), None)
        return self.finalists[0] if self.finalists else None

    @property
    def race_arms(self) -> tuple[int, ...]:
        """The iterations of what a race now would be between; 0 is the baseline."""
        return (0, *(keep.iter for keep in self.finalists))

    @property
    def is_raced(self) -> bool:
        """Whether the last race was between the present finalists."""
        return self.race is not None and self.race.arms == self.race_arms

    @property
    def next_trial(self) -> int:
        """The number of the trial that begins or resumes next."""
        return self.trials_started + (self.suspended is None)

    def known(self) -> Tried:
        """Return what rail R6 needs. Raises ``ValueError`` before the run has a meta record."""
        if self.tried is None:
            raise ValueError("the trajectory has no meta record yet")
        self.tried.pending = self.pending if self.parallel else ()
        return self.tried

    def add(self, record: Event, source: Source | None = None) -> None:
        """Add one record; its ``source``, if known, is kept in its place: it takes less memory."""
        if isinstance(record, Metered) and getattr(record, "device", None) is None:  # else the run's own meter has it
            self._count(record.power)
        self.aim(record)
        match record:
            case Meta():
                self.meta = record
                self.tried = Tried(record.baseline_cfg)
                self.curves = curves_of(run.curves for run in record.earlier_runs)
            case Started():
                self._start(record)
            case TrialStarted():
                self._begin_trial(record)
                self.trials_started = max(record.trial, self.trials_started)
            case TrialSuspended():
                self._meter(record.suspended.energy_j, scope_of(record.power), self.suspended, record.device)
                self.running, self.suspended = None, record.suspended
                if record.trial in self.spare:
                    self.suspended = None  # nothing needs the rest of it
                    self.spare.discard(record.trial)
                kept = (
                    record.suspended.resumes_at is not None
                )  # else it starts over, and earlier disturbances no longer matter
                self.earlier_parts = merge_phases(self.earlier_parts, record.power) if kept else {}
            case TrialEnded():
                self._end_trial(record)
            case Baseline():
                self.baseline = record
                self._learn_costs(None)
                self._update_lowest()
                self.baseline_outcomes, self.outcomes, self.host_losses = self.outcomes, [], 0
                self.voided = []
            case Proposed():
                self._open_iteration(record)
                self.gains_then, self.baseline_then = len(self.earlier_gains), len(self.baseline_outcomes)
                self.best_then, self.results_then = self.best, len(self.results)
            case Unsealed():
                self._unseal()
            case SideTrialSuspended():
                self._meter(record.suspended.energy_j, scope_of(record.power), self.side_suspended_at())
                self.add_side_record(record)
            case SideTrial():
                self._meter(record.outcome.energy_j, scope_of(record.power), self.side_suspended_at())
                self.add_side_record(record)
            case SideTrialStarted():
                self.add_side_record(record)
            case Race():
                self.race = record
            case Stopped():
                self.side_running = None
                self.end_running()
            case _ if isinstance(record, IterationRecord):
                self._close(record, source)

    def _start(self, record: Started) -> None:
        self.starts += 1
        self.metering, self.early_stop = record.metering, record.early_stop
        if record.metering and record.metering.idle:
            self._count({"idle": record.metering.idle})
        self.lose_running(record.boot_id)
        self.lose_side_trial(record.boot_id)
        self.parallel = self.parallel or (record.workers or 1) > 1
        if self.parallel and self.baseline is None:
            self.focus(0)
        if self.baseline is None and first_failure(self.outcomes):  # measured anew: the cause may have been fixed
            self.outcomes, self.host_losses = measured_only(self.outcomes), 0

    def _end_trial(self, record: TrialEnded) -> None:
        self._meter(record.outcome.energy_j, scope_of(record.power), self.suspended, record.device)
        self.running, self.suspended, self.earlier_parts = None, None, {}
        for_baseline = record.iter == 0 and self.baseline is not None
        measured = self.baseline_outcomes if for_baseline else self.outcomes
        if record.trial in self.spare:
            self.spare.discard(record.trial)
            self.baseline_outcomes += [record] if for_baseline and not record.void else []
            return
        if self.sealed and not record.void:
            self.sealed = self.sealed.with_trial(record)
            if record.iter == 0:
                self.vault_baseline.append(record)
            return
        (self.voided if record.void else measured).append(record)
        if for_baseline:
            self.extra_baseline.append(record)
            return
        if self.baseline is None and not record.void and self._is_first_retryable_failure(record.outcome):
            self.outcomes = measured_only(self.outcomes)  # tried once more, as for a candidate

    def _meter(
        self, energy_j: float | None, scope: Scope | None, earlier: Suspended | None, device: str | None = None
    ) -> None:
        """Add the joules of a trial so far; those of its earlier parts are counted already."""
        counted = earlier.energy_j or 0.0 if earlier else 0.0
        if energy_j is not None:
            self.trials_j[scope] = self.trials_j.get(scope, 0.0) + energy_j - counted
            if device is not None:
                self.device_j[device] = self.device_j.get(device, 0.0) + energy_j - counted

    def _count(self, power: dict[Phase, Power]) -> None:
        for phase, more in power.items():
            if more.scope is not None:
                self.power[more.scope] = merge_phases(self.power.get(more.scope, {}), {phase: more})

    def _is_first_retryable_failure(self, outcome: Outcome) -> bool:
        retryable = isinstance(outcome, Failure) and outcome.cause in RETRYABLE
        self.baseline_retryable_failures += retryable
        return retryable and self.baseline_retryable_failures == 1

    def _update_lowest(self) -> None:
        measured = [m.loss for m in measurements(self.outcomes)]
        self.lowest = min([*measured, *([] if self.lowest is None else [self.lowest])], default=None)

    def _unseal(self) -> None:
        """The vault of the last keep is unsealed, and that of its configuration never again."""
        if self.sealed is not None:
            self.unsealed.add(sha256_of(self.sealed.keep.candidate_cfg))
        self.sealed, self.running, self.voided, self.extra_baseline, self.host_losses = None, None, [], [], 0

    def _close(self, record: IterationRecord, source: Source | None) -> None:
        self.at_iter, self.highest_iter = record.iter, max(self.highest_iter, record.iter)
        if self.parallel:
            self.spare_trials_of(record.iter)
            if isinstance(record, CandidateTried):  # what was measured ahead of need is left out, whenever it ended
                by_number = {t.trial: t for t in self.outcomes}
                self.outcomes = [by_number[trial] for trial in record.trials if trial in by_number]
        self._remember(record, source)
        self.sealed = self._keep_to_unseal(record)
        self._update_lowest()
        if isinstance(record, Evaluated | StoppedEarly | EvalFailed):
            self.candidates_tried += 1
            self._learn_costs(record.proposal)
            kind = kind_of(record.proposal, self.meta.baseline_cfg if self.meta else {})
            self.curves += full_curves(kind, self.outcomes, self.baseline_outcomes)
            del self.curves[:-MAX_CURVES]
        gains = paired_gains(pairs_of(self.outcomes, self.baseline_outcomes))
        if isinstance(record, Evaluated) and len(gains) > 1:
            self.earlier_gains.append(gains)
        self.proposed, self.running, self.outcomes, self.voided, self.host_losses = None, None, [], [], 0
        self.proposals.pop(record.iter, None)
        self.extra_baseline = []
        if isinstance(record, Evaluated) and record.decision == "keep":
            self.best = record if self.best is None or is_better(record, self.best) else self.best
            self.finalists = add_finalist(self.finalists, record)

    def _remember(self, record: IterationRecord, source: Source | None) -> None:
        """Keep what grows with the number of iterations."""
        self.iterations.append(record, source)
        result = result_of(record)
        is_parallel = self.parallel and isinstance(record, CandidateTried)
        self.results.append(replace(result, known=self.results_then) if is_parallel else result)
        if isinstance(record, Evaluated):
            self._note_tried(record, "measured")
        elif isinstance(record, StoppedEarly):
            self._note_tried(record, record.eval_metrics.stopped_early.describe())
        elif isinstance(record, EvalFailed):
            self._note_tried(record, f"failed ({record.cause})", retryable=record.cause in RETRYABLE)

    def _keep_to_unseal(self, record: IterationRecord) -> SealedKeep | None:
        """The keep, if it was confirmed over several seeds and its configuration is sealed."""
        if not isinstance(record, Evaluated) or record.decision == "revert" or record.evidence is None:
            return None
        if sha256_of(record.candidate_cfg) in self.unsealed:
            return None
        return SealedKeep(record, tuple(self.outcomes))

    def _learn_costs(self, proposal: ProposalRecord | None) -> None:
        """What the open configuration took, where a command trains: its costs are known from trials alone."""
        if self.meta and self.meta.yardstick.command:
            self.costs += costs_of(proposal, (t.outcome for t in self.outcomes))

    def _note_tried(self, record: CandidateTried, outcome: str, *, retryable: bool = False) -> None:
        if self.tried is not None:  # None: of a damaged log that is only shown, and R6 is not asked
            self.tried.add(record.candidate_cfg, outcome, retryable=retryable)


@dataclass(slots=True)
class Totals(Trajectory):
    """A trajectory that does not remember its iterations: for a report, which makes rows of them."""

    def _remember(self, record: IterationRecord, source: Source | None) -> None:
        pass


def is_better(one: Evaluated, other: Evaluated) -> bool:
    """Whether a keep gains more; under rule sequential their means are of different seeds and say nothing."""
    if one.evidence is None or other.evidence is None:
        return one.loss < other.loss
    return one.improvement_frac > other.improvement_frac


def measurements(trials: Iterable[TrialEnded]) -> list[Measurement]:
    """Return the measurements of the successful ones among ``trials``."""
    return [t.outcome for t in trials if isinstance(t.outcome, Measurement)]


def measured_only(trials: Iterable[TrialEnded]) -> list[TrialEnded]:
    """Return ``trials`` without the failed ones."""
    return [t for t in trials if isinstance(t.outcome, Measurement)]


def first_failure(trials: Iterable[TrialEnded]) -> Failure | None:
    """Return the failure of the first failed one among ``trials``, if any."""
    return next((t.outcome for t in trials if isinstance(t.outcome, Failure)), None)


def first_stop(trials: Iterable[TrialEnded]) -> EarlyStop | None:
    """Return the early stop of the first stopped one among ``trials``, if any."""
    return next((t.outcome for t in trials if isinstance(t.outcome, EarlyStop)), None)
