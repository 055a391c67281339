"""The trial's learning-rate schedule in Megatron's terms: the same warmup, nearly the same cosine. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from autoresearch.trials.schedule import LrSchedule
from autoresearch.trials.spec import Budget


@dataclass(frozen=True, slots=True)
class Warmup:
    """Megatron's ``lr_warmup_iters`` and ``lr_decay_iters``; the first step has the peak divided by ``divisor``."""

    iters: int
    divisor: int
    decay_iters: int

    @classmethod
    def of(cls, warmup: int, steps: int) -> Warmup:
        """The schedule nearest to ``schedule.LrSchedule``'s over ``steps`` with ``warmup`` steps of warmup.

        Ours rises from 1/W of the peak in the first step to the peak in step W, Megatron's from ``lr_warmup_init`` to
        the peak within ``iters`` further steps: W - 1 of them give the same values. One step of warmup, which is at
        the peak already, is one iteration from the peak to the peak; then both decay alike.
        """
        iters = max(warmup - 1, min(warmup, 1))
        return cls(iters, max(warmup, 1), max(steps, iters + 1))  # Megatron refuses a warmup that fills the decay

    def init_lr(self, peak: float) -> float:
        """Megatron's ``lr_warmup_init``; it must not exceed the peak, and is not used without warmup."""
        return peak / self.divisor if self.iters else 0.0

    def lr_factor(self, step: int) -> float:
        """The share of the peak in ``step``, from 0 (megatron.core.optimizer_param_scheduler, ``get_lr``, cosine)."""
        if self.iters and step <= self.iters:
            init = self.init_lr(1.0)
            return init + (1 - init) * step / self.iters
        if step > self.decay_iters:
            return 0.0
        return 0.5 * (1 + math.cos(math.pi * (step - self.iters) / (self.decay_iters - self.iters)))


def largest_gap(warmup: int, steps: int) -> float:
    """The largest difference between the two learning rates, as a share of the peak."""
    ours = LrSchedule(Budget(kind="steps", size=steps), steps, warmup)
    theirs = Warmup.of(warmup, steps)
    gap = 0.0
    for step in range(steps):
        gap = max(gap, abs(ours.lr_factor() - theirs.lr_factor(step)))
        ours.advance()
    return gap
