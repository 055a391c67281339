"""What is open in a run: a map of iterations and a map of trials, one of each in focus. Pure.

A serial run has one open iteration and one open trial, and both are in focus. In a parallel run each record moves the
focus to what it is about; the others are parked. Whatever reads the open iteration reads the one in focus.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from autoresearch.core.measurement import Suspended
from autoresearch.core.power import Phase, Power
from autoresearch.core.records import (
    Baseline,
    Evaluated,
    Event,
    Iteration,
    Proposed,
    TrialEnded,
    TrialStarted,
    TrialSuspended,
    Unsealed,
)
from autoresearch.core.side_work import SideWork
from autoresearch.core.values import Cfg
from autoresearch.core.vault import SealedKeep

TrialRecord = TrialStarted | TrialSuspended | TrialEnded


@dataclass(frozen=True, slots=True)
class OpenIteration:
    """An iteration that is not in focus: ``OpenWork`` explains its fields."""

    proposed: Proposed | None = None
    outcomes: list[TrialEnded] = field(default_factory=list)
    voided: list[TrialEnded] = field(default_factory=list)
    extra_baseline: list[TrialEnded] = field(default_factory=list)
    sealed: SealedKeep | None = None
    host_losses: int = 0
    test: int = 0
    gains_then: int = 0
    baseline_then: int = 0
    best_then: Evaluated | None = None
    results_then: int = 0


@dataclass(frozen=True, slots=True)
class OpenTrial:
    """A trial that is not in focus: ``OpenWork`` explains its fields."""

    started: TrialStarted | None = None
    running: TrialStarted | None = None
    suspended: Suspended | None = None
    earlier_parts: dict[Phase, Power] = field(default_factory=dict)
    owner: int = 0


@dataclass(slots=True)
class OpenWork(SideWork):
    """The iteration and the trial in focus, and all others that are open."""

    proposed: Proposed | None = None  # the open iteration, if there is one
    outcomes: list[TrialEnded] = field(default_factory=list)  # of the baseline until it is closed, then of the open one
    voided: list[TrialEnded] = field(default_factory=list)  # trials beside ``outcomes`` that are run again
    extra_baseline: list[TrialEnded] = field(default_factory=list)  # those that the open iteration needed
    sealed: SealedKeep | None = None  # the last record's keep, until its vault is unsealed
    host_losses: int = 0  # trials of the open iteration (or baseline) during which the machine went down
    test: int = 0  # its candidate is the how manyth that was proposed
    gains_then: int = 0  # how many candidates' gains the noise was pooled from when it was proposed
    baseline_then: int = 0  # how many trials of the baseline there were then
    best_then: Evaluated | None = None  # the best keep then
    results_then: int = 0  # how many iterations were closed then
    started: TrialStarted | None = None  # the trial in focus, as it began last
    running: TrialStarted | None = None  # the trial that began and has not ended
    suspended: Suspended | None = None  # where the open trial was last suspended
    earlier_parts: dict[Phase, Power] = field(default_factory=dict)  # its power until then, if it resumes
    at_iter: int = 0  # the iteration in focus; 0 for the baseline
    at_trial: int = 0  # the number of the trial in focus; 0 for none
    owner: int = 0  # the iteration that needs it
    parallel: bool = False  # some start of this run had several trials at work
    proposals: dict[int, Proposed] = field(default_factory=dict)  # of the open candidates, in their order
    parked: dict[int, OpenIteration] = field(default_factory=dict)
    parked_trials: dict[int, OpenTrial] = field(default_factory=dict)
    spare: set[int] = field(default_factory=set)  # running trials whose iteration was closed without them
    candidates_proposed: int = 0
    highest_iter: int = 0  # that was proposed or closed

    def aim(self, record: Event) -> None:
        """Move the focus to what ``record`` is about. Does nothing in a serial run, in which nothing else is open."""
        if not self.parallel:
            return
        match record:
            case TrialStarted() | TrialSuspended() | TrialEnded():
                self.focus(owner_of(record), record.trial)
            case Baseline():
                self.focus(0)
            case Proposed() | Iteration() | Unsealed():
                self.focus(record.iter)

    def focus(self, n: int, trial: int = 0) -> None:
        """Move the focus to iteration ``n`` and to a trial, 0 for none."""
        if n != self.at_iter:
            if self.proposed or self.outcomes or self.voided or self.extra_baseline or self.sealed or self.host_losses:
                self.parked[self.at_iter] = self._iteration_in_focus()
            there = self.parked.pop(n, None) or OpenIteration()
            self.proposed, self.outcomes, self.voided = there.proposed, there.outcomes, there.voided
            self.extra_baseline, self.sealed = there.extra_baseline, there.sealed
            self.host_losses, self.test, self.at_iter = there.host_losses, there.test, n
            self.gains_then, self.baseline_then = there.gains_then, there.baseline_then
            self.best_then, self.results_then = there.best_then, there.results_then
        if trial != self.at_trial:
            if self.running or self.suspended:
                self.parked_trials[self.at_trial] = OpenTrial(
                    self.started, self.running, self.suspended, self.earlier_parts, self.owner
                )
            at = self.parked_trials.pop(trial, None) or OpenTrial()
            self.started, self.running, self.suspended = at.started, at.running, at.suspended
            self.earlier_parts, self.owner, self.at_trial = at.earlier_parts, at.owner, trial

    def suspended_trial(self, n: int, iter: int, seed: int) -> int:  # noqa: A002
        """The number of the suspended trial that iteration ``n`` needs with this seed; 0 if there is none."""
        for number, trial in self._open_trials():
            begun = trial.started
            if trial.suspended and begun and (trial.owner, begun.iter, begun.seed) == (n, iter, seed):
                return number
        return 0

    @property
    def candidates(self) -> list[int]:
        """The open iterations with a candidate, in their order."""
        return list(self.proposals)

    @property
    def vaults(self) -> list[int]:
        """The iterations whose keep is sealed, in their order."""
        return sorted(n for n, work in self._iterations() if work.sealed)

    @property
    def open_proposals(self) -> list[Proposed]:
        """The records of all open candidates, in the order of their iterations."""
        return list(self.proposals.values())

    @property
    def pending(self) -> list[Cfg]:
        """The configurations of all open candidates, in the order of their iterations."""
        return [p.candidate_cfg for p in self.proposals.values()]

    @property
    def trials_at_work(self) -> list[TrialStarted]:
        """The trials that began and have not ended, by their numbers."""
        return [trial.running for _, trial in sorted(self._open_trials(), key=lambda t: t[0]) if trial.running]

    def lose_running(self, boot_id: str) -> None:
        """A start of the daemon finds trials that never ended: they are lost with it, or with the whole machine."""
        lost: set[int] = set()  # one reboot is one loss, however many trials of an iteration ran
        for number, trial in list(self._open_trials()):
            if trial.running is not None:
                if self.parallel:
                    self.focus(trial.owner, number)
                if trial.running.boot_id != boot_id and trial.owner not in lost and number not in self.spare:
                    lost.add(trial.owner)
                    self.host_losses += 1
                self.running = None
        self._forget_ended()

    def end_running(self) -> None:
        """The user ended what ran: no loss."""
        self.running = None
        for number, trial in list(self.parked_trials.items()):
            if trial.running is not None:
                self.focus(self.at_iter, number)
                self.running = None
        self._forget_ended()

    def spare_trials_of(self, n: int) -> None:
        """Iteration ``n`` is closed: what still runs for it runs on unused, and what is suspended never resumes."""
        for number, trial in list(self.parked_trials.items()):
            if trial.owner == n and trial.running:
                self.spare.add(number)
            elif trial.owner == n:
                del self.parked_trials[number]

    def _forget_ended(self) -> None:
        self.spare.clear()
        if self.parallel:
            self.focus(self.at_iter)  # parks a suspended trial, and drops one that neither runs nor is suspended

    def _begin_trial(self, record: TrialStarted) -> None:
        self.owner = owner_of(record) if self.parallel or record.iter else self.at_iter
        self.started, self.running, self.at_trial = record, record, record.trial

    def _open_iteration(self, record: Proposed) -> None:
        self.candidates_proposed += 1
        self.proposed, self.sealed, self.test, self.at_iter = record, None, self.candidates_proposed, record.iter
        self.proposals[record.iter] = record
        self.highest_iter = max(self.highest_iter, record.iter)

    def _iterations(self) -> Iterator[tuple[int, OpenIteration]]:
        yield self.at_iter, self._iteration_in_focus()
        yield from self.parked.items()

    def _iteration_in_focus(self) -> OpenIteration:
        return OpenIteration(
            self.proposed,
            self.outcomes,
            self.voided,
            self.extra_baseline,
            self.sealed,
            self.host_losses,
            self.test,
            self.gains_then,
            self.baseline_then,
            self.best_then,
            self.results_then,
        )

    def _open_trials(self) -> Iterator[tuple[int, OpenTrial]]:
        yield self.at_trial, OpenTrial(self.started, self.running, self.suspended, self.earlier_parts, self.owner)
        yield from self.parked_trials.items()


def owner_of(record: TrialRecord) -> int:
    """The iteration that needs a trial: its own, or the one that the baseline is measured for."""
    return record.iter if record.for_iter is None else record.for_iter
