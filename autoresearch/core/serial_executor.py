"""The executor of one trial at a time, on the thread that polls: the default, and what one device needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from autoresearch.core.executor import (
    OnTrialProgress,
    TrialFinished,
    TrialOrder,
    TrialProgress,
    ignore_progress,
)
from autoresearch.core.ports import SuspendControl, Trial


@dataclass(slots=True)
class SerialExecutor:
    """See ``executor.TrialExecutor``. ``trial`` returns what measures; ``suspend_requested`` is read while it does."""

    trial: Callable[[], Trial]
    suspend_requested: Callable[[], bool] = lambda: False
    _order: TrialOrder | None = field(default=None, init=False)

    @property
    def capacity(self) -> int:
        return 1

    def submit(self, order: TrialOrder) -> int:
        """Take a trial. Raises ``ValueError`` while another is at work."""
        if self._order is not None:
            raise ValueError(f"trial {self._order.trial} is at work, and this executor runs one at a time")
        self._order = order
        return order.trial

    def poll(self, timeout_s: float, on_progress: OnTrialProgress = ignore_progress) -> Sequence[TrialFinished]:
        """Run the trial that was submitted to its end."""
        order, self._order = self._order, None
        if order is None:
            return ()
        sealed: list[float] = []

        def progressed(phase: str, fraction: float, step: int, tokens_per_s: float | None) -> None:
            on_progress(TrialProgress(order.trial, phase, fraction, step, tokens_per_s))

        suspend = SuspendControl(self.suspend_requested, order.suspended_at)
        outcome = self.trial().measure(order.cfg, order.seed, progressed, suspend, sealed.append, order.limits)
        return (TrialFinished(order.trial, outcome, sealed[-1] if sealed else None),)

    def cancel(self, id: int) -> None:  # noqa: A002
        """Forget a trial that has not begun; one that runs, runs inside ``poll``."""
        if self._order is not None and self._order.trial == id:
            self._order = None
