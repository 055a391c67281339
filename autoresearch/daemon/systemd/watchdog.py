"""What a service manager is told of a run: ready, how it stands, and ten times a second that it lives.

The manager's clocks (start, watchdog, stop) are all fed by the same thing: the daemon's own loop, which looks ten times
a second wherever it waits, and which keeps still once nothing has moved for longer than anything may take. So:

- a daemon that hangs does not look, and is killed after ``WatchdogSec``;
- a trial that trains feeds the watchdog however long it takes;
- a trial that hangs is ended by its deadline (``limits.deadline_s``), which is earlier than ``patience_s``;
- where that does not end it, or nobody notices, the feeding stops, and the manager ends everything and starts anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer, Progress
from autoresearch.core.records import (
    Event,
    IterationRecord,
    LoopComplete,
    Paused,
    Proposed,
    Resumed,
    Started,
    Stopped,
    TrialStarted,
)
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.systemd.notify import Notifier

FEED_S = 1.0  # the least between two datagrams that say nothing new
# What a start or a stop may go on after a sign of life. Longer than the longest silence of a daemon that is well: the
# start of the trial server (180 s) and the writing of one report (120 s). Waiting for hooks feeds it each second.
SILENCE_S = 240
MICROSECONDS = 1_000_000


def patience_s(settings: Settings) -> float:
    """Seconds without a step forward after which something hangs: what a trial, or a talk with an LLM, may take."""
    talk_s = 2 * settings.llm.rounds * settings.llm.deadline_s  # meeting the server may take as long as asking it
    return max(settings.limits.deadline_s, talk_s)


@dataclass(slots=True)
class WatchdogObserver(Observer):
    """A ``backend.Observer`` that talks to the service manager; see the module."""

    notifier: Notifier
    iters: int
    patience_s: float
    clock: Callable[[], float] = time.monotonic
    _trajectory: Trajectory | None = None
    _ready: bool = False
    _paused: bool = False
    _doing: str = "starting"
    _what: str = ""  # the change under trial
    _stopping: str = ""
    _last: Progress | None = None
    _moved_at: float = 0.0
    _fed_at: float = -FEED_S

    def __post_init__(self) -> None:
        self._moved_at = self.clock()

    def opened(self, trajectory: Trajectory) -> None:
        self._trajectory = trajectory

    def recorded(self, event: Event) -> None:
        """Every record is a step forward. ``started`` is written when all that a run needs is there."""
        self._moved_at = self.clock()
        match event:
            case Started():
                self._ready = True
                self._doing = "proposing"
                self._feed(READY=1)
                return
            case Proposed(proposal=p):
                self._what = f"{p.knob} = {p.new_value}"
            case TrialStarted():
                self._doing = "starting the trial"
            case Paused(reason=reason):
                self._doing, self._paused = f"paused: {reason}", True
            case Resumed():
                self._doing, self._paused = "resumed", False
            case Stopped() | LoopComplete():
                self._doing = f"stopped: {event.reason}" if isinstance(event, Stopped) else "complete"
                self._stopping = ""
                self._feed(STOPPING=1)
                return
            case _ if isinstance(event, IterationRecord):
                self._doing, self._what = "proposing", ""
        self._feed()

    def progressed(self, progress: Progress) -> None:
        """A trial counts as moving only while what it says changes."""
        if progress == self._last:
            return
        self._last, self._moved_at = progress, self.clock()
        percent = f" {100 * progress.fraction:.0f} %" if progress.phase == "train" else ""
        self._doing = {"train": "training", "validate": "validating"}.get(progress.phase, progress.phase) + percent
        self._feed_now_and_then()

    def heartbeat(self, stopping: str) -> None:
        """The loop is alive and waits for a trial, an LLM or the end of a pause."""
        self._stopping = stopping
        if self._paused or self.clock() - self._moved_at <= self.patience_s:
            self._feed_now_and_then()

    def notify(self, message: str) -> None:
        self._moved_at = self.clock()
        if not self._ready:
            self._doing = message
        self._feed()

    def preparing(self, stage: str, fraction: float) -> None:
        self._moved_at = self.clock()
        self._doing = f"{stage} {100 * fraction:.0f} %"
        self._feed_now_and_then()

    def ended(self, ending: str) -> None:
        """The run is over in good order, perhaps before it was ready: where nothing was left to do."""
        self._doing = ending if ending == "complete" else f"stopped: {ending}"
        if not self._ready:
            self._feed(READY=1)
        self._feed(STOPPING=1)

    @property
    def status(self) -> str:
        """Iteration, what is done in it, and the best so far, on one line."""
        if self._trajectory is None:
            return self._doing
        n = min(self._trajectory.next_iter, self.iters)
        where = f"iteration {n} of {self.iters}" if self._trajectory.baseline else "baseline"
        until = f"stopping after this trial ({self._stopping})" if self._stopping else ""
        return "; ".join(part for part in (where, self._what, self._doing, self._best(), until) if part)

    def _best(self) -> str:
        assert self._trajectory is not None
        if best := self._trajectory.best:
            return f"best {best.val_bpb:.4f} ({100 * best.improvement_frac:+.2f} %, iteration {best.iter})"
        return "no keep yet" if self._trajectory.baseline else ""

    def _feed_now_and_then(self) -> None:
        if self.clock() - self._fed_at >= FEED_S:
            self._feed()

    def _feed(self, **more: int) -> None:
        self._fed_at = self.clock()
        self.notifier.tell(**more, WATCHDOG=1, EXTEND_TIMEOUT_USEC=SILENCE_S * MICROSECONDS, STATUS=self.status)
