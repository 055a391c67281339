"""The state of a run for the service manager: ready, status line, and a sign of life ten times a second.

The manager's time limits (start, watchdog, stop) are all extended by the daemon's own loop, which polls ten times a
second wherever it waits, and which stops feeding once nothing has progressed for longer than any step may take. So:

- a daemon that hangs does not poll, and is killed after ``WatchdogSec``;
- a trial that trains feeds the watchdog however long it takes;
- a trial that hangs is ended by its deadline (``limits.deadline_s``), which is at most ``max_silence_s``; a deadline is
  extended only while the trial progresses;
- where the daemon cannot end it, the feeding stops, and the manager kills everything and restarts the unit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer, Progress
from autoresearch.core.records import (
    Baseline,
    Event,
    IterationRecord,
    LoopComplete,
    Paused,
    Resumed,
    SideTrial,
    SideTrialStarted,
    SideTrialSuspended,
    Started,
    Stopped,
    TrialEnded,
    TrialStarted,
    TrialSuspended,
)
from autoresearch.core.text import plural
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.run_text import (
    PauseRequest,
    describe_change,
    describe_request,
    describe_suspended,
)
from autoresearch.daemon.systemd.notify import Notifier
from autoresearch.report.format import format_bpb

FEED_S = 1.0  # at least, between two datagrams without a new state
# By this much each datagram extends the limit of a start or stop. Longer than the longest silence of a healthy daemon:
# the start of the trial server (180 s) and the writing of one report (120 s). Waiting for hooks feeds it each second.
SILENCE_S = 240
MICROSECONDS = 1_000_000


def max_silence_s(settings: Settings) -> float:
    """Seconds without progress after which something hangs: what a trial, or a conversation with an LLM, may take."""
    conversation_s = 2 * settings.llm.rounds * settings.llm.deadline_s  # twice: finding the server may take as long
    return max(settings.limits.deadline_s, conversation_s)


@dataclass(slots=True)
class WatchdogObserver(Observer):
    """Reports the run to the service manager; see the module."""

    notifier: Notifier
    iters: int
    max_silence_s: float
    clock: Callable[[], float] = time.monotonic
    requested_pause: Callable[[], PauseRequest] = lambda: ""  # called with each datagram
    drain_max_s: float | None = None  # that a signal waits for the running trial
    _trajectory: Trajectory | None = None
    _ready: bool = False
    _paused: bool = False
    _waits: bool = False
    _before_wait: str = ""
    _activity: str = "starting"
    _in_trial: bool = False
    _is_over: bool = False
    _stopping: str = ""
    _last: Progress | None = None
    _progress_at: float = 0.0
    _fed_at: float = -FEED_S

    def __post_init__(self) -> None:
        self._progress_at = self.clock()

    def opened(self, trajectory: Trajectory) -> None:
        self._trajectory = trajectory

    def recorded(self, event: Event) -> None:
        """Every record is progress. ``started`` is written once everything that a run needs is open."""
        self._progress_at = self.clock()
        match event:
            case Started():
                self._ready = True
                self._activity = self._next_activity()
                self._feed(READY=1)
                return
            case TrialStarted() | SideTrialStarted():
                self._activity, self._in_trial = "resuming the trial" if event.continues else "starting the trial", True
            case TrialEnded() | TrialSuspended() | SideTrial() | SideTrialSuspended():
                self._in_trial = False
                self._activity = "between two trials"
            case Paused(reason=reason, waits_for=waits_for):
                self._activity, self._paused = reason if waits_for == "disk_space" else f"paused: {reason}", True
            case Resumed():
                self._activity, self._paused = self._next_activity(), False
            case Stopped() | LoopComplete():
                self._end(event.reason if isinstance(event, Stopped) else "complete")
                self._feed(STOPPING=1)
                return
            case _ if isinstance(event, Baseline | IterationRecord):
                self._activity, self._in_trial = "proposing", False
        self._feed()

    def _next_activity(self) -> str:
        """What comes next, from the records: an open iteration or the baseline continues, or a change is proposed."""
        if (known := self._trajectory) is None or (known.baseline and not known.proposed):
            return "proposing"
        return "continuing" if known.starts > 1 else "starting"

    def _end(self, reason: str) -> None:
        self._activity = reason if reason == "complete" else f"stopped: {reason}"
        self._in_trial, self._is_over, self._stopping = False, True, ""

    def progressed(self, progress: Progress) -> None:
        """A trial makes progress only while what it reports changes."""
        if progress == self._last:
            return
        self._last, self._progress_at = progress, self.clock()
        percent = f" {100 * progress.fraction:.0f} %" if progress.phase == "train" else ""
        self._activity = {"train": "training", "validate": "validating"}.get(progress.phase, progress.phase) + percent
        self._feed_if_due()

    def heartbeat(self, stop_reason: str) -> None:
        """The loop is alive and waits for a trial, an LLM or the end of a pause."""
        self._stopping = stop_reason
        if self._paused or self.clock() - self._progress_at <= self.max_silence_s:
            self._feed_if_due()

    def notify(self, message: str) -> None:
        self._progress_at = self.clock()
        if not self._ready:
            self._activity = message
        self._feed()

    def waiting(self, reason: str) -> None:
        """A wait for disk space is not a hang, however long it takes."""
        if not reason and not self._waits:
            return
        if not self._waits:
            self._before_wait = self._activity
        self._activity = reason or self._before_wait
        self._progress_at = self.clock()
        self._waits = bool(reason)
        self._feed_if_due()

    def preparing(self, stage: str, fraction: float) -> None:
        self._progress_at = self.clock()
        self._activity = f"{stage} {100 * fraction:.0f} %"
        self._feed_if_due()

    def ended(self, ending: str) -> None:
        """The run ended in good order, perhaps before it was ready because nothing was left to do."""
        self._end(ending)
        if not self._ready:
            self._feed(READY=1)
        self._feed(STOPPING=1)

    @property
    def status(self) -> str:
        """One line: iteration, change, activity, the best keep so far, and what the user has requested."""
        if (known := self._trajectory) is None:
            return self._activity
        requested = (
            ""
            if self._is_over
            else describe_request(
                self._stopping,
                "" if self._paused else self.requested_pause(),
                self.drain_max_s,
                in_trial=self._in_trial,
            )
        )
        suspended = "" if self._in_trial else describe_suspended(known)
        parts = (self._where(known), describe_change(known), self._activity, suspended, self._best(known), requested)
        return "; ".join(part for part in parts if part)

    def _where(self, known: Trajectory) -> str:
        if known.baseline is None:
            return "baseline"
        closed = len(known.iterations)
        if self._is_over or closed >= self.iters:
            return f"{closed} of {self.iters} iterations closed"
        return f"iteration {known.next_iter} of {self.iters}"

    def _best(self, known: Trajectory) -> str:
        closed = f" in {plural(len(known.iterations), 'closed iteration')}" if known.iterations else ""
        if best := known.best:
            return (
                f"best {format_bpb(best.value)} ({100 * best.improvement_frac:+.2f} %, iteration {best.iter}){closed}"
            )
        return f"no keep yet{closed}" if known.baseline else ""

    def _feed_if_due(self) -> None:
        if self.clock() - self._fed_at >= FEED_S:
            self._feed()

    def _feed(self, **more: int) -> None:
        self._fed_at = self.clock()
        self.notifier.tell(**more, WATCHDOG=1, EXTEND_TIMEOUT_USEC=SILENCE_S * MICROSECONDS, STATUS=self.status)
