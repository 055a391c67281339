"""Virtual seconds of a simulated fleet: those of its trials, and those that the loop itself computes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class WorkClock:
    """The executor moves ``now`` to the ends of trials; between them it runs with the CPU time of this thread.

    CPU time and not elapsed time, so that other programs of the machine do not slow the simulated loop down. What the
    simulation costs beside the loop is spent in ``stopped`` and does not count.
    """

    cpu: Callable[[], float] = time.thread_time
    _moved_s: float = 0.0
    _ignored_s: float = 0.0
    _began_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._began_s = self.cpu()

    @property
    def worked_s(self) -> float:
        """CPU seconds of the loop and its proposer so far."""
        return self.cpu() - self._began_s - self._ignored_s

    @property
    def now(self) -> float:
        return self._moved_s + self.worked_s

    @now.setter
    def now(self, at: float) -> None:
        self._moved_s += max(0.0, at - self.now)

    def __call__(self) -> float:
        return self.now

    def add(self, seconds: float) -> None:
        """Wait, for a disk for example."""
        self._moved_s += seconds

    def utc(self) -> str:
        """The virtual time of day, in the form of ``machine.utc``."""
        return (EPOCH + timedelta(seconds=self.now)).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What is computed meanwhile takes no virtual time."""
        began = self.cpu()
        try:
            yield
        finally:
            self._ignored_s += self.cpu() - began
