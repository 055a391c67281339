"""The loop of a run with several trials at work: fill the capacity, take what ended, decide, record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from types import SimpleNamespace
from typing import Any

from autoresearch.core.confirmation import Standing, standing_of
from autoresearch.core.decision import Needed, decide, next_baseline_trial
from autoresearch.core.energy_accounting import add_energy
from autoresearch.core.executor import TrialFinished, TrialOrder, TrialProgress
from autoresearch.core.loop import MAX_PROPOSER_FAILURES, POLL_S, Loop
from autoresearch.core.open_trials import earlier_iteration_s, earlier_trials_s
from autoresearch.core.ports import Exhausted, Meter, NullMeter, Progress
from autoresearch.core.power import phase_from_progress
from autoresearch.core.record_builders import (
    IterationTimes,
    build_eval_failed,
    build_evaluated,
    build_stopped_early,
)
from autoresearch.core.records import Baseline, Event, TrialEnded, TrialSuspended
from autoresearch.core.trajectory import first_failure, first_stop
from autoresearch.core.trial_steps import begin_trial, end_trial, host_lost
from autoresearch.core.values import Cfg
from autoresearch.core.vault import build_unsealed, next_vault_trial, trials_to_unseal


@dataclass(frozen=True, slots=True)
class Work:
    """A trial that can start now: iteration ``owner`` needs it; 0 is the baseline before it is closed."""

    owner: int
    cfg: Cfg
    needed: Needed

    @property
    def iter(self) -> int:
        """Of the trial: 0 where the baseline is measured."""
        return 0 if self.needed.of_baseline else self.owner


@dataclass(slots=True, kw_only=True)
class ParallelLoop(Loop):
    """``Loop`` over an executor of any capacity, 1 included, and over a run that was parallel before.

    Verdicts are the same whatever the order in which trials end: what a candidate's test may spend and which noise it
    meets was fixed when it was proposed, and its seeds are looked at in their order (``confirmation``). What is open is
    finished before something new is proposed: first the trials that a look waits for, then those of the next looks.
    """

    at_work: dict[int, tuple[TrialOrder, Work]] = field(default_factory=dict)  # by the number of the trial
    began: dict[int, float] = field(default_factory=dict)  # on the clock of ``active_s``, by iteration
    standings: dict[int, Standing] = field(default_factory=dict)  # of open candidates, until a trial of theirs ends
    exhausted: str = ""  # why the proposer has nothing to propose until another iteration is closed
    place_of: Callable[[int], str] = lambda _trial: ""  # the device of a trial at work
    device_meters: Mapping[str, Meter] = field(default_factory=dict)  # of the devices that are metered by themselves
    metered: dict[int, str] = field(default_factory=dict)  # the device of each trial at work that has a meter

    def work_until_done(self) -> None:
        """Take one turn after the other; however that ends, no trial is left running."""
        try:
            while self.turn():
                pass
        finally:
            for number in self.at_work:
                self.executor.cancel(number)
            self.at_work.clear()

    def turn(self) -> bool:
        """Start what can start, wait for an end, decide what can be decided; false once nothing is left to do."""
        self.settle()
        if not self.halt_requested():
            self.fill()
        elif not self.at_work:
            self.pause_or_stop_if_requested()
            return True
        if self.at_work:
            self.take()
        elif self.exhausted and not self.trajectory.candidates:
            raise Exhausted(self.exhausted)
        else:
            return next(self.works(), None) is not None or self.trajectory.next_iter <= self.iters
        return True

    def halt_requested(self) -> bool:
        """Whether nothing may start now: what runs is waited for, and then the request is obeyed."""
        return bool(self.control.stop_reason() or self.control.pause_reason() or self.shortage())

    def fill(self) -> None:
        """Start trials that are needed, and propose only where none is."""
        works = self.works()
        while len(self.at_work) < self.executor.capacity and not self.halt_requested():
            if (work := next(works, None)) is not None:
                if not self.start(work):
                    works = self.works()  # it ended at once: its candidate may need something else now
            elif self.may_propose():
                if self.proposer_failures >= MAX_PROPOSER_FAILURES and self.at_work:
                    return  # what runs is finished first
                self.end_if_proposer_is_broken()
                n = self.trajectory.new_iter
                if not self.open_iteration():
                    return  # what ended meanwhile is taken before the proposer is asked again
                works = self.works_of([n])  # of the others nothing was left to start
            else:
                return

    def works(self) -> Iterator[Work]:
        """The trials that something open needs and that are not at work: of vaults, then of candidates in order.

        After them the seeds that the next looks may need. Whoever takes one starts it before the next is found.
        """
        if self.trajectory.baseline is None:
            while (work := self.baseline_work()) is not None:
                yield work
            return
        yield from self.works_of([*(self.trajectory.vaults if self.vault.seeds else ()), *self.trajectory.candidates])

    def works_of(self, iterations: Sequence[int]) -> Iterator[Work]:
        """The same of some iterations, each either with an open candidate or with a sealed keep."""
        candidates = self.trajectory.proposals.keys()
        needed = ((n, need) for n in iterations if (need := self.needed_by(n)))
        ahead = ((n, need) for n in iterations if n in candidates for need in self.standing(n).ahead)
        at_work = {(order.iter, order.seed) for order, _ in self.at_work.values()}
        for n, need in chain(needed, ahead):
            of_trial = 0 if need.of_baseline else n, need.seed  # the baseline's serves whichever iteration
            if of_trial in at_work or (n not in candidates and self.is_at_work(n)):
                continue
            self.trajectory.focus(n)
            of = self.trajectory.proposed or (self.trajectory.sealed.keep if self.trajectory.sealed else None)
            if of is not None:
                at_work.add(of_trial)
                yield Work(n, self.baseline_cfg if need.of_baseline else of.candidate_cfg, need)

    def baseline_work(self) -> Work | None:
        """The next seed of the baseline; all of them may be at work at the same time."""
        self.trajectory.focus(0)
        taken: Sequence[Any] = [SimpleNamespace(seed=order.seed) for order, _ in self.at_work.values()]
        known = self.trajectory.comparison
        known = type(known)([*known.candidate, *taken], known.baseline)
        needed = next_baseline_trial(known, self.rule)
        return None if needed is None else Work(0, self.baseline_cfg, needed)

    def needed_by(self, n: int) -> Needed | None:
        """What an open candidate or a sealed keep waits for; ``None`` if it can be closed or unsealed."""
        run = self.trajectory
        if n in run.proposals:
            return self.standing(n).needed
        run.focus(n)
        if (sealed := run.sealed) is None:
            return None
        return next_vault_trial(sealed, run.baseline_for_vault, self.rule, self.vault.seeds)

    def standing(self, n: int) -> Standing:
        """Where the open candidate of iteration ``n`` stands. Asked for each open candidate at every turn."""
        if n not in self.standings:
            self.trajectory.focus(n)
            self.standings[n] = standing_of(self.trajectory.comparison, self.rule)
        return self.standings[n]

    def note(self, event: Event, payload: str) -> None:
        """See ``RecordedRun``. A standing changes with the ends of its candidate's trials and the baseline's alone."""
        Loop.note(self, event, payload)
        if isinstance(event, TrialEnded) and event.iter:
            self.standings.pop(event.iter, None)
        elif isinstance(event, TrialEnded | Baseline):
            self.standings.clear()

    def may_propose(self) -> bool:
        return self.trajectory.baseline is not None and self.trajectory.new_iter <= self.iters and not self.exhausted

    def open_iteration(self) -> bool:
        """Propose for the next iteration; whether there is a candidate.

        A proposer that has nothing left is asked again once another iteration is closed.
        """
        n, began = self.trajectory.new_iter, self.active_s()
        try:
            if self.propose(began) is not None:
                self.began[n] = began
        except Exhausted as e:
            self.exhausted = str(e) or "the proposer has nothing left to propose"
        return n in self.began

    def start(self, work: Work) -> bool:
        """Record that a trial begins or resumes, and hand it to the executor; whether it runs now."""
        run, seed = self.trajectory, work.needed.seed
        number = run.suspended_trial(work.owner, work.iter, seed) or run.trials_started + 1
        run.focus(work.owner, number)
        for_iter = work.owner if work.iter != work.owner else None
        order = begin_trial(self, work.cfg, seed, work.iter, number, self.warmup_frac, for_iter)
        if (lost := host_lost(self, order)) is not None:
            end_trial(self, order, lost, self.vault, for_iter)
            return False
        self.at_work[number] = order, work
        self.executor.submit(order)
        if (place := self.place_of(number)) in self.device_meters:
            self.metered[number] = place
            self.device_meters[place].phase("start")
        return True

    def take(self) -> None:
        """Record every trial that ended, in the order in which the executor reports them."""
        for finished in self.executor.poll(POLL_S, self.show_trial):
            self.take_one(finished)

    def show_trial(self, at: TrialProgress) -> None:
        """Show the progress of one of the running trials."""
        for meter in (self.meter, self.device_meters.get(self.metered.get(at.id, ""))):
            if meter is not None:
                meter.phase(phase_from_progress(at.phase))
        order, _ = self.at_work[at.id]
        with suppress(Exception):
            self.observer.progressed(
                Progress(order.iter, at.phase, at.fraction, at.step, at.tokens_per_s, at.id, order.seed, at.where)
            )

    def take_one(self, finished: TrialFinished) -> None:
        order, work = self.at_work.pop(finished.id)
        self.trajectory.focus(work.owner, order.trial)
        end_trial(self, order, finished, self.vault, work.owner if work.iter != work.owner else None)

    def settle(self) -> None:
        """Close every iteration that can be decided and unseal every vault that is complete, in their order."""
        run = self.trajectory
        if run.baseline is None:
            run.focus(0)
            if first_failure(run.outcomes) or (not self.at_work and self.baseline_work() is None):
                self.measure_baseline()  # nothing is left to measure: it is recorded, or refused
            return
        for n in run.candidates:
            if self.needed_by(n) is None:
                self.close(n)
        for n in run.vaults if self.vault.seeds else []:
            if not self.is_at_work(n) and self.needed_by(n) is None:
                self.unseal(n)

    def is_at_work(self, n: int) -> bool:
        """Whether a trial that iteration ``n`` can still use is."""
        spare = self.trajectory.spare
        return any(work.owner == n and number not in spare for number, (_, work) in self.at_work.items())

    def unseal(self, n: int) -> None:
        self.trajectory.focus(n)
        if (sealed := self.trajectory.sealed) is not None:
            baseline = self.trajectory.baseline_for_vault
            test_bpb = self.vault.unseal(trials_to_unseal(sealed, baseline))
            self.record(build_unsealed(sealed, baseline, test_bpb, self.utc()))

    def close(self, n: int) -> None:
        """Decide on the candidate of iteration ``n`` and record it."""
        run = self.trajectory
        run.focus(n)
        if (proposed := run.proposed) is None:
            return
        now = self.active_s()
        wall_s = now - self.began.pop(n, now - earlier_iteration_s(proposed, run))
        times = IterationTimes(wall_s, proposed.propose_wall_s)
        rests_on = self.standing(n).rests_on
        used = replace(run, outcomes=list(rests_on.candidate))  # without the seeds that were measured ahead in vain
        if failure := first_failure(used.outcomes):
            self.record(build_eval_failed(proposed, used, failure, self.utc(), times))
        elif stop := first_stop(used.outcomes):
            self.record(build_stopped_early(proposed, used, stop, self.utc(), times))
        else:
            self.record(build_evaluated(proposed, used, decide(rests_on, self.rule), self.utc(), times))
        self.standings.pop(n, None)
        self.exhausted = ""

    def measure_baseline(self) -> None:
        """Record the baseline, whose trials are there, or refuse it: see ``Loop.measure_baseline``."""
        self.close_baseline(self.active_s() - earlier_trials_s(self.trajectory))

    def pause_or_stop_if_requested(self) -> None:
        """See ``Loop``; whatever runs is waited for first."""
        while self.at_work and self.halt_requested():
            self.take()
        Loop.pause_or_stop_if_requested(self)

    def add_energy(self, event: Event) -> Event:
        """Joules of a trial are known where its device has a meter of its own; else they stay null.

        The run's own are counted by the meter of all devices.
        """
        if not isinstance(event, TrialEnded | TrialSuspended):
            return Loop.add_energy(self, event)
        if (place := self.metered.pop(event.trial, None)) is None:
            return add_energy(event, NullMeter(), self.trajectory)
        return add_energy(event.model_copy(update={"device": place}), self.device_meters[place], self.trajectory)
