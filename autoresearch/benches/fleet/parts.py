"""The surroundings of a simulated fleet's loop: trial, journal, proposer, and what counts and ends the night."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoresearch.benches.fleet.work_clock import WorkClock
from autoresearch.benches.proposers.virtual_parts import NeverPaused
from autoresearch.benches.search.surrogate import Surrogate
from autoresearch.core.measurement import Cause, Failure, Measurement, Outcome, Suspended
from autoresearch.core.metric import Metric
from autoresearch.core.ports import (
    NEVER_SUSPENDED,
    Observer,
    OnProgress,
    Proposer,
    Reply,
    Seal,
    SuspendControl,
    not_sealed,
)
from autoresearch.core.records import Attempt, Baseline, Event, TrialEnded, TrialStarted
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.storage.sealed_line import seal as seal_line
from autoresearch.verdicts.stop_limits import Limits
from rails import Rail

UNKNOWN = (
    "val_bpb",
    "val_nats_per_token",
    "val_tokens",
    "val_bytes",
    "train_loss_first",
    "train_loss_last",
    "train_steps",
    "train_tokens",
    "train_flops",
    "params",
    "mean_step_ms",
    "tokens_per_s",
    "peak_bytes",
)
SPENT = "the trials of this night are spent"


@dataclass(slots=True)
class SurrogateTrial:
    """A ``Trial`` that asks the surrogate, which takes no virtual time."""

    surrogate: Surrogate
    luck: int
    clock: WorkClock

    def measure(
        self,
        cfg: Cfg,
        seed: int,
        on_progress: OnProgress,
        suspend: SuspendControl = NEVER_SUSPENDED,
        seal: Seal = not_sealed,
        limits: Limits = (),
    ) -> Outcome | Suspended:
        """See ``ports.Trial``. The noise depends on the night's luck and the seed of the trial."""
        with self.clock.stopped():
            value = self.surrogate.draw(cfg, 1000 * self.luck + seed)
            if value is None:
                return Failure(cause=Cause.OUT_OF_MEMORY, detail="the surrogate has no value for it")
            return measurement_of(value)


def measurement_of(value: float) -> Measurement:
    """A measurement of which only the value is known, as of a command."""
    unknown: dict[str, Any] = dict.fromkeys(UNKNOWN)
    return Measurement(
        **unknown,
        train_wall_s=0.0,
        val_wall_s=0.0,
        trial_wall_s=0.0,
        device="simulated",
        metric=Metric(name="loss", value=value, direction="lower"),
    )


@dataclass(slots=True)
class CountingJournal:
    """A ``Journal`` that computes each line, waits as long as a disk would, and keeps nothing."""

    clock: WorkClock
    append_s: float
    records: int = 0
    bytes: int = 0

    def append(self, payload: str) -> int:
        """See ``ports.Journal``."""
        self.bytes += len(seal_line(self.records, payload))
        self.records += 1
        self.clock.add(self.append_s)
        return self.records - 1


@dataclass(slots=True)
class TimedProposer:
    """Notes the CPU seconds of each call."""

    proposer: Proposer
    clock: WorkClock
    seconds: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.proposer.name

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """See ``ports.Proposer``."""
        began = self.clock.worked_s
        try:
            return self.proposer.propose(trajectory, refused)
        finally:
            self.seconds.append(self.clock.worked_s - began)


@dataclass(slots=True)
class FleetWatch(NeverPaused, Observer):
    """Observer and control of a night: draws its curve, and ends it after ``limit`` trials."""

    clock: WorkClock
    limit: int
    step: int
    true: Callable[[Trajectory, Cfg], float]  # of what would be handed over
    trajectory: Trajectory = field(default_factory=Trajectory)
    spent: int = 0  # trials that ended after the baseline's first ones
    repeats: int = 0
    began_s: float = 0.0  # when the baseline was closed
    curve: list[float] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)
    _lowest: float = float("inf")
    _best: Cfg = field(default_factory=dict)
    _running: dict[int, Cfg] = field(default_factory=dict)

    def recorded(self, event: Event) -> None:
        """See ``ports.Observer``."""
        with self.clock.stopped():
            match event:
                case TrialStarted():
                    self._running[event.trial] = event.cfg
                case TrialEnded():
                    self._take(event)
                case Baseline():
                    self.began_s, self.spent = self.clock.now, 0
                    self._note()
            for attempt in getattr(event, "attempts", ()):
                self.repeats += not attempt.verdict_ok and attempt.rail == Rail.R6_NOVELTY

    def _take(self, event: TrialEnded) -> None:
        cfg = self._running.pop(event.trial)
        if isinstance(event.outcome, Measurement) and event.outcome.loss < self._lowest:
            self._lowest, self._best = event.outcome.loss, cfg
        self.spent += 1
        if self.curve and self.spent <= self.limit and self.spent % self.step == 0:
            self._note()

    def _note(self) -> None:
        self.curve.append(self.true(self.trajectory, self._best))
        self.at_s.append(self.clock.now - self.began_s)

    def stop_reason(self) -> str:
        """See ``ports.Control``."""
        return SPENT if self.curve and self.spent >= self.limit else ""
