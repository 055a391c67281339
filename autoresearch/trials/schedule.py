"""Learning-rate schedule and training budget: linear warmup, then cosine to zero at the end of the budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from autoresearch.trials.spec import Budget


@dataclass(slots=True)
class LrSchedule:
    """Counts optimizer steps against a budget. ``steps`` is ``None`` for a budget in seconds.

    A trial that resumes from a checkpoint passes the ``step`` it had reached, the seconds ``spent_s`` it had trained by
    then, and its ``warm_fraction``: the fraction of the budget that was spent when the warmup ended.
    """

    budget: Budget
    steps: int | None
    warmup: int
    clock: Callable[[], float] = time.monotonic
    step: int = 0
    spent_s: float = 0.0
    warm_fraction: float = 0.0
    _began: float | None = None

    def fraction(self) -> float:
        """How much of the budget is spent, from 0 to 1. The clock of a budget in seconds starts at the first call."""
        if self.steps is not None:
            return min(1.0, self.step / self.steps)
        now = self.clock()
        if self._began is None:
            self._began = now
        return min(1.0, (self.spent_s + now - self._began) / self.budget.size)

    def lr_factor(self) -> float:
        """The learning rate of the next step as a fraction of the peak."""
        fraction = self.fraction()
        if self.step < self.warmup:
            self.warm_fraction = fraction
            return (self.step + 1) / self.warmup
        if self.step == self.warmup:
            self.warm_fraction = fraction
        rest = 1.0 - self.warm_fraction
        decayed = (fraction - self.warm_fraction) / rest if rest > 0 else 1.0
        return 0.5 * (1.0 + math.cos(math.pi * decayed))

    def advance(self) -> bool:
        """Count a step; false when the budget is spent."""
        self.step += 1
        return self.step < self.steps if self.steps is not None else self.fraction() < 1.0
