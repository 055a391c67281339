"""The state of a trial beside its weights and the optimizer's moments: all that its remaining steps depend on."""

from __future__ import annotations

from autoresearch.core.values import FrozenModel


class TrainState(FrozenModel):
    """The progress of a trial when it was suspended. The defaults are those of a trial that starts.

    There is no random state: after the initial weights a trial draws no random numbers, and the text of a step follows
    from the seed and the step.
    """

    step: int = 0
    trained: bool = False  # the budget is spent: only the validation is left, which starts over
    loss_first: float | None = None
    loss_last: float | None = None
    curve_nats: tuple[float, ...] = ()  # the sums of ``LossCurve``; empty: of a version that kept none
    curve_shares: tuple[float, ...] = ()
    warm_fraction: float = 0.0  # of the budget, spent when the learning rate's warmup ended
    train_s: float = 0.0
    val_s: float = 0.0
    peak_bytes: int = 0
