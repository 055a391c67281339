"""How far a trial has come, beside its weights and the optimizer's moments: what its rest depends on."""

from __future__ import annotations

from autoresearch.core.values import FrozenModel


class TrainState(FrozenModel):
    """What a trial had reached when it was put aside. The defaults are one that begins.

    Nothing here is random: after the initial weights no trial draws a number, and which text a step reads follows from
    the seed and the step.
    """

    step: int = 0
    trained: bool = False  # the budget is spent: only the validation is left, which begins again
    loss_first: float | None = None
    loss_last: float | None = None
    warm_fraction: float = 0.0  # of the budget, when the warmup of the learning rate was over
    train_s: float = 0.0
    val_s: float = 0.0
    peak_bytes: int = 0
