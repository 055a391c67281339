"""What the records add up to: the fold that the loop, the proposers and the reports read. No file, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from autoresearch.core.measurement import RETRYABLE, Failure, Measurement, Outcome, Suspended
from autoresearch.core.power import Metering, Phase, Power, Scope, merge_phases, scope_of
from autoresearch.core.records import (
    Attempt,
    Baseline,
    Closer,
    EvalFailed,
    Evaluated,
    Event,
    Meta,
    Metered,
    Proposed,
    Started,
    Stopped,
    TrialEnded,
    TrialStarted,
    TrialSuspended,
)
from rails import Tried


@dataclass(slots=True)
class Trajectory:
    """A fold of records in their order; ``add`` is its only way to change, and depends on nothing but the record."""

    meta: Meta | None = None
    baseline: Baseline | None = None
    iterations: list[Closer] = field(default_factory=list)
    proposed: Proposed | None = None  # the iteration that is open, if one is
    running: TrialStarted | None = None  # the trial that began and has not ended
    suspended: Suspended | None = None  # where the open trial was last put aside
    earlier_parts: dict[Phase, Power] = field(default_factory=dict)  # what it took until then, if it goes on
    outcomes: list[TrialEnded] = field(default_factory=list)  # of the baseline until it is closed, then of the open one
    voided: list[TrialEnded] = field(default_factory=list)  # trials beside ``outcomes`` that are run again
    baseline_outcomes: list[TrialEnded] = field(default_factory=list)
    host_losses: int = 0  # trials of the open iteration (or baseline) during which the machine went down
    trials_started: int = 0  # one that was put aside and goes on counts once
    starts: int = 0
    best: Evaluated | None = None  # the keep with the lowest mean
    lowest: float | None = None  # the lowest single measurement in closed iterations and the baseline
    trials_j: dict[Scope | None, float] = field(default_factory=dict)  # of all trials; None: a log that names no scope
    power: dict[Scope, dict[Phase, Power]] = field(default_factory=dict)  # of the whole run; scopes are never added
    metering: Metering | None = None  # of the last start
    baseline_bad_luck: int = 0  # failures of the baseline that may say nothing about it
    tried: Tried | None = None

    @classmethod
    def fold(cls, records: Iterable[Event]) -> Trajectory:
        """The trajectory after ``records``."""
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
        """The number of the iteration that is open or comes next."""
        return len(self.iterations) + 1

    @property
    def keeps(self) -> list[Evaluated]:
        return [r for r in self.iterations if isinstance(r, Evaluated) and r.decision == "keep"]

    @property
    def next_trial(self) -> int:
        """The number of the trial that begins or goes on next."""
        return self.trials_started + (self.suspended is None)

    def known(self) -> Tried:
        """What R6 asks. Raises ``ValueError`` before the run has a baseline."""
        if self.tried is None:
            raise ValueError("the trajectory has no meta record yet")
        return self.tried

    def add(self, record: Event) -> None:
        """Take one more record into account."""
        if isinstance(record, Metered):
            self._count(record.power)
        match record:
            case Meta():
                self.meta = record
                self.tried = Tried(record.baseline_cfg)
            case Started():
                self._start(record)
            case TrialStarted():
                self.running = record
                self.trials_started = record.trial
            case TrialSuspended():
                self._meter(record.suspended.energy_j, scope_of(record.power))
                self.running, self.suspended = None, record.suspended
                kept = record.suspended.resumes_at is not None  # else it begins again, and what was wrong is over
                self.earlier_parts = merge_phases(self.earlier_parts, record.power) if kept else {}
            case TrialEnded():
                self._end_trial(record)
            case Baseline():
                self.baseline = record
                self._lower()
                self.baseline_outcomes, self.outcomes, self.host_losses = self.outcomes, [], 0
                self.voided = []
            case Proposed():
                self.proposed = record
            case Stopped():
                self.running = None  # dropped at the user's wish: no loss to hold against the configuration
            case Evaluated() | EvalFailed():
                self._close(record)
            case _ if isinstance(record, Closer):
                self._close(record)

    def _start(self, record: Started) -> None:
        self.starts += 1
        self.metering = record.metering
        if record.metering and record.metering.idle:
            self._count({"idle": record.metering.idle})
        if self.running is not None:  # it began and never ended: lost with its daemon, or with the whole machine
            self.host_losses += self.running.boot_id != record.boot_id
            self.running = None
        if self.baseline is None and first_failure(self.outcomes):  # it is measured afresh: somebody may have mended it
            self.outcomes, self.host_losses = measured_only(self.outcomes), 0

    def _end_trial(self, record: TrialEnded) -> None:
        self._meter(record.outcome.energy_j, scope_of(record.power))
        self.running, self.suspended, self.earlier_parts = None, None, {}
        (self.voided if record.void else self.outcomes).append(record)
        if self.baseline is None and self._is_first_bad_luck(record.outcome):
            self.outcomes = measured_only(self.outcomes)  # tried once more, as a candidate's would be

    def _meter(self, energy_j: float | None, scope: Scope | None) -> None:
        """Add the joules of a trial so far, of which an earlier part may be counted already."""
        counted = self.suspended.energy_j or 0.0 if self.suspended else 0.0
        if energy_j is not None:
            self.trials_j[scope] = self.trials_j.get(scope, 0.0) + energy_j - counted

    def _count(self, power: dict[Phase, Power]) -> None:
        for phase, more in power.items():
            if more.scope is not None:
                self.power[more.scope] = merge_phases(self.power.get(more.scope, {}), {phase: more})

    def _is_first_bad_luck(self, outcome: Outcome) -> bool:
        unlucky = isinstance(outcome, Failure) and outcome.cause in RETRYABLE
        self.baseline_bad_luck += unlucky
        return unlucky and self.baseline_bad_luck == 1

    def _lower(self) -> None:
        measured = [m.val_bpb for m in measurements(self.outcomes)]
        self.lowest = min([*measured, *([] if self.lowest is None else [self.lowest])], default=None)

    def _close(self, record: Closer) -> None:
        self.iterations.append(record)
        self._lower()
        self.proposed, self.running, self.outcomes, self.voided, self.host_losses = None, None, [], [], 0
        if isinstance(record, Evaluated):
            self.known().add(record.candidate_cfg, "measured")
            if record.decision == "keep" and (self.best is None or record.val_bpb < self.best.val_bpb):
                self.best = record
        elif isinstance(record, EvalFailed):
            retryable = record.cause in RETRYABLE
            self.known().add(record.candidate_cfg, f"failed ({record.cause})", retryable=retryable)


def replies_of(attempts: Sequence[Attempt]) -> list[tuple[Attempt, ...]]:
    """An iteration's attempts, reply by reply. Records from before replies had rounds have none: one attempt each."""
    rounds: dict[tuple[str, int], list[Attempt]] = {}
    for place, attempt in enumerate(attempts):
        number = ("round", attempt.round) if "round" in attempt.model_fields_set else ("place", place)
        rounds.setdefault(number, []).append(attempt)
    return [tuple(reply) for reply in rounds.values()]


def measurements(trials: Iterable[TrialEnded]) -> list[Measurement]:
    """The successful ones among ``trials``."""
    return [t.outcome for t in trials if isinstance(t.outcome, Measurement)]


def measured_only(trials: Iterable[TrialEnded]) -> list[TrialEnded]:
    """``trials`` without the failed ones."""
    return [t for t in trials if isinstance(t.outcome, Measurement)]


def first_failure(trials: Iterable[TrialEnded]) -> Failure | None:
    """The first failed one among ``trials``, if any."""
    return next((t.outcome for t in trials if isinstance(t.outcome, Failure)), None)
