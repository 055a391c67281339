"""A trial that was ended early because it could no longer become a keep, and the plan by which it was."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from autoresearch.core.values import Fraction, FrozenModel, NotNegative, PositiveInt
from autoresearch.verdicts.curves import POINTS
from autoresearch.verdicts.early_stop import StopRule

LossLimits = Annotated[tuple[float | None, ...], Field(max_length=POINTS)]


class EarlyStopRule(FrozenModel):
    """The constants of the rule (docs/verdicts.md): those of ``verdicts.early_stop.StopRule``."""

    tolerated: float
    min_curves: int
    min_kind: int
    min_kinds: int | None
    first: float
    last: float
    audit_frac: float

    def constants(self) -> StopRule:
        """The statistics' own form."""
        return StopRule(**self.model_dump())


class StopPlan(FrozenModel):
    """The losses above which a trial is stopped, fixed when it starts.

    Number n of ``limits``, from 0, is for the mean training loss over the part of the budget from n / 32 to
    (n + 1) / 32, as in ``train_loss_curve``; null: it is not looked at there.
    """

    limits: LossLimits
    needed_frac: float  # the final gain below which the trial cannot become a keep
    curves: PositiveInt  # full curves that the limits were learned from
    audited: bool = False  # it runs on where it would be stopped, and its record says where that was


class StopPoint(FrozenModel):
    """Where a trial was, or would have been, stopped."""

    fraction: Fraction  # of the budget
    loss: float  # mean training loss over the last 32nd of the budget before that
    limit: float  # that ``loss`` exceeded
    predicted_gain_frac: float | None = None  # the final gain to expect, from the earlier curves; not a measurement

    def describe(self) -> str:
        """``stopped early at 45% of the budget (loss 5.41, limit 5.10)``."""
        return f"stopped early at {describe_point(self)}"


class EarlyStop(FrozenModel):
    """How a trial that was stopped early ended: it has no val_bpb, and what it cost is counted as it was."""

    ok: Literal[False] = False
    stopped_early: StopPoint
    train_loss_curve: Annotated[tuple[float, ...], Field(max_length=POINTS)]  # up to the stop
    train_steps: PositiveInt
    train_tokens: PositiveInt
    train_flops: PositiveInt
    tokens_per_s: NotNegative
    train_wall_s: NotNegative
    trial_wall_s: NotNegative  # as the daemon saw it, process start and end included
    peak_bytes: PositiveInt
    device: str
    energy_j: float | None = None
    deadline_extended_s: float | None = None


def describe_point(point: StopPoint) -> str:
    """``45% of the budget (loss 5.41, limit 5.10)``, with as many decimals as tell the loss from its limit."""
    decimals = next((d for d in (2, 3, 4) if f"{point.loss:.{d}f}" != f"{point.limit:.{d}f}"), 5)
    share = f"{100 * point.fraction:.0f}% of the budget"
    return f"{share} (loss {point.loss:.{decimals}f}, limit {point.limit:.{decimals}f})"
