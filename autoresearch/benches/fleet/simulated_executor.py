"""An executor of any number of workers in virtual time: no thread, no process, no wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from autoresearch.core.executor import OnTrialProgress, TrialFinished, TrialOrder, TrialProgress, ignore_progress
from autoresearch.core.measurement import Suspended
from autoresearch.core.ports import Interrupted, SuspendControl, Trial


class MovableClock(Protocol):
    """Seconds of a simulation; the executor sets ``now``."""

    now: float


@dataclass(slots=True)
class VirtualClock:
    """Seconds that only an executor moves; ``loop.clock`` of a simulated run."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class SimulatedExecutor:
    """See ``executor.TrialExecutor``. A trial ends ``takes_s`` after it was submitted, and is measured then.

    ``poll`` moves the clock to the next end, unless it is past it already, and returns what has ended by then; of
    equal ends the lower number comes first.
    """

    trial: Trial
    capacity: int
    takes_s: Callable[[TrialOrder], float]
    clock: MovableClock = field(default_factory=VirtualClock)
    suspend_requested: Callable[[], bool] = lambda: False
    aborted: Callable[[], bool] = lambda: False
    busy_s: float = 0.0  # of all workers together
    _ends: dict[int, tuple[float, float, TrialOrder]] = field(default_factory=dict)  # end, seconds, order

    def submit(self, order: TrialOrder) -> int:
        if len(self._ends) >= self.capacity or order.trial in self._ends:
            raise ValueError(f"{len(self._ends)} trials are at work, and there are {self.capacity} workers")
        seconds = self.takes_s(order)
        self._ends[order.trial] = self.clock.now + seconds, seconds, order
        return order.trial

    def poll(self, timeout_s: float, on_progress: OnTrialProgress = ignore_progress) -> Sequence[TrialFinished]:
        if self.aborted():
            self._ends.clear()
            raise Interrupted("stopped at once")
        if not self._ends:
            return ()
        if self.suspend_requested():
            return [self._finish(number, on_progress) for number in sorted(self._ends)]
        self.clock.now = now = max(self.clock.now, min(end for end, _, _ in self._ends.values()))
        ended = sorted(number for number, (end, _, _) in self._ends.items() if end <= now)
        return [self._finish(number, on_progress) for number in ended]

    def cancel(self, id: int) -> None:  # noqa: A002
        self._ends.pop(id, None)

    def _finish(self, number: int, on_progress: OnTrialProgress) -> TrialFinished:
        _, seconds, order = self._ends.pop(number)
        self.busy_s += seconds
        if self.suspend_requested():
            return TrialFinished(number, Suspended(step=0, resumes_at=0, train_wall_s=0.0, val_wall_s=0.0))
        on_progress(TrialProgress(number, "train", 0.5, 5, None))
        sealed: list[float] = []
        outcome = self.trial.measure(
            order.cfg,
            order.seed,
            lambda *_: None,
            SuspendControl(suspended_at=order.suspended_at),
            sealed.append,
            order.limits,
        )
        return TrialFinished(number, outcome, sealed[-1] if sealed else None)
