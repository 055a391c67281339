"""The iteration: propose, gate, measure, decide, record. The loop reaches its surroundings through ports only."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from typing import Any, Literal

from autoresearch.core.decision import (
    Comparison,
    Needed,
    decide,
    mean_loss,
    next_baseline_trial,
    next_trial,
    unusable_baseline,
)
from autoresearch.core.disk_wait import DiskWait
from autoresearch.core.early_stopping import WarmupFrac, judge_end, plan_stop
from autoresearch.core.energy_accounting import PHASE_AFTER, add_energy
from autoresearch.core.executor import TrialExecutor, TrialFinished, TrialOrder, TrialProgress
from autoresearch.core.measurement import Cause, Failure, Suspended
from autoresearch.core.metric import mean_metric
from autoresearch.core.open_trials import (
    MAX_HOST_LOSSES,
    earlier_iteration_s,
    earlier_trials_s,
    is_first_of_its_cause,
)
from autoresearch.core.ports import (
    Control,
    Exhausted,
    Interrupted,
    Journal,
    Meter,
    NullMeter,
    NullVault,
    Observer,
    Progress,
    Proposer,
    Reply,
    Trial,
    Vault,
)
from autoresearch.core.power import phase_from_progress
from autoresearch.core.record_builders import (
    AttemptLog,
    IterationTimes,
    build_attempt,
    build_blocked,
    build_eval_failed,
    build_evaluated,
    build_loop_complete,
    build_proposed,
    build_proposer_failed,
    build_stopped,
    build_stopped_early,
    build_void,
)
from autoresearch.core.records import (
    Baseline,
    DecisionRule,
    Evaluated,
    Event,
    LoopComplete,
    Paused,
    Proposed,
    Resumed,
    Stopped,
    TrialEnded,
    TrialStarted,
    TrialSuspended,
    encode,
)
from autoresearch.core.serial_executor import SerialExecutor
from autoresearch.core.trajectory import Trajectory, first_failure, first_stop, measurements
from autoresearch.core.values import Cfg
from autoresearch.core.vault import build_unsealed, next_vault_trial, trials_to_unseal
from autoresearch.errors import BaselineFailed, CorpusError, JournalError
from rails import Verdict

MAX_PROPOSER_FAILURES = 5
POLL_S = 0.1  # the longest wait for an executor between two looks at the user's requests


class EndOfRun(Exception):
    """Leaves the iteration for a reason that is not a failure: a stop, or a pause that should end the process."""


@dataclass(slots=True)
class Loop:
    """One run over its ports. ``judge`` applies the gate to one reply, with this run's menu, limits and estimator."""

    trajectory: Trajectory
    journal: Journal
    proposer: Proposer
    judge: Callable[[str, Trajectory], Verdict]
    trial: Trial
    control: Control
    observer: Observer
    rule: DecisionRule
    baseline_cfg: Cfg
    iters: int
    max_attempts: int
    on_pause: Literal["wait", "exit"]
    boot_id: str
    utc: Callable[[], str]
    shortage: Callable[[], str] = lambda: ""  # of disk space: why no trial can start; empty where there is enough
    changed_input: Callable[[], str] = lambda: ""  # which file that trials depend on has changed; empty for none
    clock: Callable[[], float] = time.monotonic
    meter: Meter = field(default_factory=NullMeter)
    vault: Vault = field(default_factory=NullVault)
    warmup_frac: WarmupFrac = lambda _cfg: 0.0  # of its budget, that a configuration warms up
    executor: TrialExecutor = field(default=None)  # type: ignore[assignment]  # ``trial``, one at a time, if not given
    exhausted_completes: bool = False  # a proposer with nothing left has reached the run's end
    at_end: Callable[[Loop], None] = lambda _loop: None  # measures what the end of a run needs beside its verdicts
    paused_s: float = 0.0
    proposer_failures: int = 0  # in a row, in this process
    last_failure: str = ""  # of the proposer

    def __post_init__(self) -> None:
        if self.executor is None:
            self.executor = SerialExecutor(lambda: self.trial, lambda: self.control.suspend_requested())

    def run(self) -> str:
        """Run until every iteration is closed and return "complete", or until the run ends early and return why."""
        iters = self.iters
        try:
            try:
                self.work_until_done()
            except Exhausted as end:
                if not self.exhausted_completes:
                    raise
                self.observer.notify(str(end))
                iters = self.trajectory.highest_iter
            self.at_end(self)
        except (EndOfRun, Interrupted, Exhausted) as end:
            self.record_stop(str(end))
            return str(end)
        except (BaselineFailed, CorpusError) as e:
            self.record_stop(e.what)
            raise
        self.record(build_loop_complete(self.trajectory, iters, self.utc()))
        return "complete"

    def work_until_done(self) -> None:
        """Measure the baseline, then run one iteration after the other."""
        if self.trajectory.baseline is None:
            self.measure_baseline()
        self.unseal_keep()  # after which the last daemon ended
        while self.trajectory.next_iter <= self.iters:
            self.end_if_proposer_is_broken()
            self.iterate()
            self.unseal_keep()

    def iterate(self) -> None:
        """Run one iteration, or the rest of one that a restart interrupted."""
        self.pause_or_stop_if_requested()
        resumed = self.trajectory.proposed
        began = self.active_s() - (earlier_iteration_s(resumed, self.trajectory) if resumed else 0.0)
        proposed = resumed or self.propose(began)
        if proposed is None:
            return  # closed without a candidate: the rails refused, or the proposer raised
        trials = self.measure(partial(next_trial, rule=self.rule), proposed)
        times = IterationTimes(self.active_s() - began, proposed.propose_wall_s)
        if failure := first_failure(trials):
            self.record(build_eval_failed(proposed, self.trajectory, failure, self.utc(), times))
        elif stop := first_stop(trials):
            self.record(build_stopped_early(proposed, self.trajectory, stop, self.utc(), times))
        else:
            decision = decide(self.trajectory.comparison, self.rule)
            self.record(build_evaluated(proposed, self.trajectory, decision, self.utc(), times))

    def propose(self, began: float) -> Proposed | None:
        """Ask the proposer until a reply passes the rails; ``None`` if the iteration was closed without a candidate."""
        n, log = self.trajectory.new_iter, AttemptLog()
        while log.replies < self.max_attempts:
            try:
                reply = self.ask(log)
            except (EndOfRun, JournalError):
                raise
            except Exhausted:
                if not log.attempts:
                    raise
                break  # what was refused is recorded before the run ends
            except Exception as e:  # an error of a proposer closes the iteration, not the run
                wall_s = self.active_s() - began
                failed = build_proposer_failed(n, self.proposer.name, e, log, self.utc(), wall_s)
                self.record(failed)
                self.proposer_failures += 1
                self.last_failure = failed.reason
                return None
            self.proposer_failures = 0
            if passed := self.first_that_passes(reply, log):
                self.record(build_proposed(passed, reply.source, log, n, self.utc()))
                return self.trajectory.proposed
        self.record(build_blocked(n, log, self.utc(), self.active_s() - began))
        return None

    def ask(self, log: AttemptLog) -> Reply:
        """Get one reply. After a pause that interrupted the proposer it is called again; a stop ends the run here."""
        while True:
            since = self.active_s()
            self.meter.phase("propose")
            try:
                return self.proposer.propose(self.trajectory, log.attempts)
            except Interrupted:
                pass
            except JournalError as full:
                if not full.no_space:
                    raise
                # the proposer keeps what it could not write, and writes it when it is called again
                self.pause(self.disk.reason(full), "disk_space", self.disk.before_another_try)
            finally:
                log.propose_s += self.active_s() - since
                self.meter.phase("idle")
            self.pause_or_stop_if_requested()

    def first_that_passes(self, reply: Reply, log: AttemptLog) -> Verdict | None:
        """Judge each proposal of a reply and log them all; the first that passes is the candidate."""
        log.replies += 1
        log.calls += reply.calls
        passed: Verdict | None = None
        for raw, changed in zip_longest((reply.raw, *reply.others), reply.normalisations):
            verdict = self.judge(raw, self.trajectory)
            is_spare = passed is not None
            log.attempts.append(build_attempt(raw, reply.source, verdict, log.replies, is_spare, changed))
            passed = passed or (verdict if verdict.ok else None)
        return passed

    def measure_baseline(self) -> None:
        """Measure the fixed baseline. Raises ``BaselineFailed``: without it there is nothing to compare with."""
        began = self.active_s() - earlier_trials_s(self.trajectory)
        self.measure(partial(next_baseline_trial, rule=self.rule))
        self.close_baseline(began)

    def close_baseline(self, began: float) -> None:
        """Record the baseline, all trials of which have ended. Raises ``BaselineFailed``."""
        trials = sorted(self.trajectory.outcomes, key=lambda t: t.seed)
        if failure := first_failure(trials):
            hint = "change the baseline or the limits; `autoresearch config` with the same flags shows both"
            raise BaselineFailed(f"the baseline failed: {failure.cause}: {failure.detail}", hint=hint)
        measured = measurements(trials)
        if problem := unusable_baseline([m.value for m in measured]):
            raise BaselineFailed(problem, hint="return another metric, for example 1 - accuracy or an error above 0")
        self.record(
            Baseline(
                ts=self.utc(),
                baseline_cfg=self.baseline_cfg,
                baseline_val_bpb=None if measured[0].metric else mean_loss(trials),
                metric=mean_metric(measured[0].metric, mean_loss(trials)),
                trials=tuple(t.trial for t in trials),
                eval_metrics=measured[0].without_curve(),
                wall_s=self.active_s() - began,
            )
        )

    def measure(
        self, next_needed: Callable[[Comparison], Needed | None], proposed: Proposed | None = None
    ) -> list[TrialEnded]:
        """Run every trial that the rule needs, up to a failure or an early stop; return all, with earlier ones.

        Without a candidate they are the baseline's; a candidate may need more seeds of the baseline too.
        """
        while not (first_failure(self.trajectory.outcomes) or first_stop(self.trajectory.outcomes)):
            if (needed := next_needed(self.trajectory.comparison)) is None:
                break
            self.run_needed(needed, proposed)
        return list(self.trajectory.outcomes)

    def unseal_keep(self) -> None:
        """Unseal the vault of the keep that is the last record, after the trials that this takes beyond its verdict."""
        while self.vault.seeds and (sealed := self.trajectory.sealed):
            baseline = self.trajectory.baseline_for_vault
            if needed := next_vault_trial(sealed, baseline, self.rule, self.vault.seeds):
                self.run_needed(needed, sealed.keep)
            else:
                test_bpb = self.vault.unseal(trials_to_unseal(sealed, baseline))
                self.record(build_unsealed(sealed, baseline, test_bpb, self.utc()))

    def run_needed(self, needed: Needed, candidate: Proposed | Evaluated | None) -> None:
        """Obey a pause or stop request, then run a trial of the candidate, or of the baseline."""
        self.pause_or_stop_if_requested()
        if candidate is None or needed.of_baseline:
            self.run_trial(self.baseline_cfg, needed.seed, 0)
        else:
            self.run_trial(candidate.candidate_cfg, needed.seed, candidate.iter)

    def run_trial(self, cfg: Cfg, seed: int, n: int) -> None:
        """Run a trial, or one more part of it, between two records; not if it took the machine down twice.

        Raises ``CorpusError`` if a file that trials depend on has changed; a trial that may have read it is void.
        """
        order = self.begin_trial(cfg, seed, n, self.trajectory.next_trial)
        self.end_trial(order, self.host_lost(order) or self.finish(order))

    def begin_trial(self, cfg: Cfg, seed: int, n: int, number: int, for_iter: int | None = None) -> TrialOrder:
        """Record that a trial begins or resumes, and return what to run."""
        self.end_if_input_changed()
        suspended_at = self.trajectory.suspended
        continues = suspended_at is not None and suspended_at.resumes_at is not None
        plan = plan_stop(self.trajectory, number, n, seed, cfg, self.warmup_frac)
        self.record(
            TrialStarted(
                ts=self.utc(),
                trial=number,
                iter=n,
                seed=seed,
                cfg=cfg,
                boot_id=self.boot_id,
                continues=continues,
                stop=plan,
                for_iter=for_iter,
            )
        )
        limits = () if plan is None or plan.audited else plan.limits
        return TrialOrder(number, n, seed, cfg, limits, suspended_at)

    def host_lost(self, order: TrialOrder) -> TrialFinished | None:
        """The failure of a trial that took the machine down before, and is not run again; ``None`` for any other."""
        if (lost := self.trajectory.host_losses) < MAX_HOST_LOSSES:
            return None
        detail = f"the machine went down {lost} times while this configuration was trained"
        return TrialFinished(order.trial, Failure(cause=Cause.HOST_LOST, detail=detail))

    def end_trial(self, order: TrialOrder, finished: TrialFinished, for_iter: int | None = None) -> None:
        """Seal what is for the vault, and record the end or the suspension of a trial."""
        if finished.test_bpb is not None:
            self.vault.seal(order.trial, order.seed, finished.test_bpb)
        number, n, seed, outcome = order.trial, order.iter, order.seed, finished.outcome
        if changed := self.changed_input():
            void_trial = build_void(number, n, seed, outcome, changed, self.utc())
            self.record(void_trial.model_copy(update={"for_iter": for_iter}))
            raise input_changed(changed)
        common: Any = {"ts": self.utc(), "trial": number, "iter": n, "seed": seed, "for_iter": for_iter}
        if isinstance(outcome, Suspended):  # for a pause or a stop, which is obeyed before the trial's next part
            self.record(TrialSuspended(**common, suspended=outcome))
        else:
            void = is_first_of_its_cause(outcome, n, seed, self.trajectory)
            self.record(judge_end(TrialEnded(**common, outcome=outcome, void=void), self.trajectory))

    def finish(self, order: TrialOrder) -> TrialFinished:
        """Have a trial run, and wait for its end."""
        self.executor.submit(order)
        while True:
            for finished in self.executor.poll(POLL_S, partial(self.show_progress, order.iter)):
                return finished

    def show_progress(self, n: int, at: TrialProgress) -> None:
        self.meter.phase(phase_from_progress(at.phase))
        with suppress(Exception):
            self.observer.progressed(Progress(n, at.phase, at.fraction, at.step, at.tokens_per_s))

    def pause_or_stop_if_requested(self) -> None:
        """Obey a pause or stop request: between trials, or between two parts of a trial that was suspended for it."""
        while True:
            self.end_if_stop_requested()
            if reason := self.control.pause_reason():
                self.pause(reason, "user", self.control.wait_while_paused)
            elif reason := self.shortage():
                self.pause(reason, "disk_space", self.disk.until_enough)
            else:
                return

    def pause(self, reason: str, waits_for: Literal["user", "disk_space"], wait: Callable[[], None]) -> None:
        """Wait between two records; the time does not count as work."""
        self.record(self.paused(reason, waits_for))
        if waits_for == "user" and self.on_pause == "exit":
            raise EndOfRun(f"paused ({reason})")
        began = self.clock()
        wait()
        self.paused_s += self.clock() - began
        self.end_if_stop_requested()
        self.record(Resumed(ts=self.utc(), paused_s=self.clock() - began))

    def paused(self, reason: str, waits_for: Literal["user", "disk_space"]) -> Paused:
        done = len(self.trajectory.iterations)
        return Paused(
            ts=self.utc(), reason=reason, waits_for=waits_for, completed_iters=done, requested_iters=self.iters
        )

    def record_stop(self, reason: str) -> None:
        self.record(build_stopped(self.trajectory, self.iters, reason, self.utc()))

    def end_if_proposer_is_broken(self) -> None:
        """End the run if the proposer only raises: it would use up every iteration within seconds."""
        if self.proposer_failures >= MAX_PROPOSER_FAILURES:
            raise EndOfRun(f"the proposer failed {MAX_PROPOSER_FAILURES} times in a row: {self.last_failure}")

    def end_if_stop_requested(self) -> None:
        if reason := self.control.stop_reason():
            raise EndOfRun(reason)

    def end_if_input_changed(self) -> None:
        if changed := self.changed_input():
            raise input_changed(changed)

    @property
    def disk(self) -> DiskWait:
        return DiskWait(self.shortage, self.control, self.observer, self.on_pause == "exit")

    def active_s(self) -> float:
        """Return the clock in seconds without the time spent paused."""
        return self.clock() - self.paused_s

    def record(self, event: Event) -> None:
        """Append ``event`` durably, then add it to the trajectory, then show it. On a full disk it waits in memory."""
        event = self.add_energy(event)
        payload = encode(event)
        try:
            self.journal.append(payload)
        except JournalError as full:
            if not full.no_space:
                raise
            self.record_after_wait(event, payload, full)
        else:
            self.note(event, payload)

    def add_energy(self, event: Event) -> Event:
        """Return ``event`` with what the meter read since the last record."""
        return add_energy(event, self.meter, self.trajectory)

    def record_after_wait(self, event: Event, payload: str, full: JournalError) -> None:
        """Append ``event`` once there is space, and after it when and how long the run waited, if it continues."""
        began, waited = self.clock(), self.paused(self.disk.reason(full), "disk_space")
        self.meter.phase("paused")
        self.disk.until_written(partial(self.journal.append, payload), full)
        waited_s = self.clock() - began
        self.paused_s += waited_s
        self.note(event, payload)
        if not isinstance(event, Stopped | LoopComplete):
            self.record(waited)
            self.record(Resumed(ts=self.utc(), paused_s=waited_s))
            self.meter.phase(PHASE_AFTER.get(type(event), "idle"))

    def note(self, event: Event, payload: str) -> None:
        """Take an event into account that is durable."""
        self.trajectory.add(event, payload.encode())
        if phase := PHASE_AFTER.get(type(event)):
            self.meter.phase(phase)
        with suppress(Exception):  # an observer cannot stop the run
            self.observer.recorded(event)


def input_changed(what: str) -> CorpusError:
    """The error that ends a run whose later trials could not be compared with its earlier ones."""
    hint = "restore it and start again: the run continues; or start --fresh with what is there now"
    return CorpusError(what, hint=hint)
