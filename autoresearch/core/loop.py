"""The iteration: propose, gate, measure, decide, record. The loop reaches its surroundings through ports only."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest

from autoresearch.core.decision import (
    Comparison,
    Needed,
    decide,
    mean_loss,
    next_baseline_trial,
    next_trial,
    unusable_baseline,
)
from autoresearch.core.early_stopping import WarmupFrac
from autoresearch.core.executor import TrialExecutor, TrialFinished, TrialOrder, TrialProgress
from autoresearch.core.metric import mean_metric
from autoresearch.core.open_trials import earlier_iteration_s, earlier_trials_s
from autoresearch.core.ports import Exhausted, Interrupted, NullVault, Progress, Proposer, Reply, Trial, Vault
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
    build_stopped_early,
)
from autoresearch.core.recorded_run import EndOfRun, RecordedRun
from autoresearch.core.records import Baseline, DecisionRule, Evaluated, Proposed, TrialEnded
from autoresearch.core.serial_executor import SerialExecutor
from autoresearch.core.trajectory import Trajectory, first_failure, first_stop, measurements
from autoresearch.core.trial_steps import begin_trial, end_trial, host_lost
from autoresearch.core.values import Cfg
from autoresearch.core.vault import build_unsealed, next_vault_trial, trials_to_unseal
from autoresearch.errors import BaselineFailed, CorpusError, JournalError
from rails import Verdict

MAX_PROPOSER_FAILURES = 5
POLL_S = 0.1  # the longest wait for an executor between two looks at the user's requests


@dataclass(slots=True, kw_only=True)
class Loop(RecordedRun):
    """One run over its ports. ``judge`` applies the gate to one reply, with this run's menu, limits and estimator."""

    proposer: Proposer
    judge: Callable[[str, Trajectory], Verdict]
    trial: Trial
    rule: DecisionRule
    baseline_cfg: Cfg
    max_attempts: int
    vault: Vault = field(default_factory=NullVault)
    warmup_frac: WarmupFrac = lambda _cfg: 0.0  # of its budget, that a configuration warms up
    executor: TrialExecutor = field(default=None)  # type: ignore[assignment]  # ``trial``, one at a time, if not given
    exhausted_completes: bool = False  # a proposer with nothing left has reached the run's end
    at_end: Callable[[Loop], None] = lambda _loop: None  # measures what the end of a run needs beside its verdicts
    proposer_failures: int = 0  # in a row, in this process
    last_failure: str = ""  # of the proposer

    def __post_init__(self) -> None:
        if self.executor is None:
            self.executor = SerialExecutor(lambda: self.trial, lambda: self.control.suspend_requested())

    def run(self) -> str:
        """Run until every iteration is closed and return "complete", or until the run ends early and return why."""
        try:
            exhausted = self.work_until_exhausted()
            self.at_end(self)
        except (EndOfRun, Interrupted) as end:
            self.record_stop(str(end))
            return str(end)
        except (BaselineFailed, CorpusError) as e:
            self.record_stop(e.what)
            raise
        iters = self.iters
        if exhausted is not None and self.exhausted_completes:
            self.observer.notify(str(exhausted))
            iters = self.trajectory.highest_iter
        elif exhausted is not None:
            self.record_stop(str(exhausted))
            return str(exhausted)
        self.record(build_loop_complete(self.trajectory, iters, self.utc()))
        return "complete"

    def work_until_exhausted(self) -> Exhausted | None:
        """Close every iteration and return ``None``, or as many as the proposer has something for, and return that."""
        try:
            self.work_until_done()
        except Exhausted as nothing_left:
            return nothing_left
        return None

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

    def end_if_proposer_is_broken(self) -> None:
        """End the run if the proposer only raises: it would use up every iteration within seconds."""
        if self.proposer_failures >= MAX_PROPOSER_FAILURES:
            raise EndOfRun(f"the proposer failed {MAX_PROPOSER_FAILURES} times in a row: {self.last_failure}")

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
        """Obey a pause or stop request, then run a trial of the candidate, or of the baseline, or one more part of it.

        A trial that took the machine down twice is not run again.
        """
        self.pause_or_stop_if_requested()
        cfg, n = self.baseline_cfg, 0
        if candidate is not None and not needed.of_baseline:
            cfg, n = candidate.candidate_cfg, candidate.iter
        order = begin_trial(self, cfg, needed.seed, n, self.trajectory.next_trial, self.warmup_frac)
        end_trial(self, order, host_lost(self, order) or self.finish(order), self.vault)

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
