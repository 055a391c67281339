"""A full loss curve of an earlier run, as the first record of a later one keeps it for early stopping."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import Field

from autoresearch.core.values import FrozenModel
from autoresearch.verdicts.curves import POINTS
from autoresearch.verdicts.early_stop import Curve

DECIMALS = 5  # of a gap, as of the losses that it was computed from
MAX_EARLIER_CURVES = 200  # about 60 KiB of the first record


class EarlierCurve(FrozenModel):
    """``verdicts.early_stop.Curve``: the gap to the baseline at each 32nd of the budget, and the final gain."""

    kind: str  # the knob and its direction
    gain_frac: float
    gaps: Annotated[tuple[float | None, ...], Field(max_length=POINTS)]

    @classmethod
    def of(cls, curve: Curve) -> EarlierCurve:
        """The record of a curve."""
        gaps = tuple(None if gap is None else round(gap, DECIMALS) for gap in curve.gaps)
        return cls(kind=curve.kind, gain_frac=curve.gain, gaps=gaps)

    def curve(self) -> Curve:
        """The statistics' own form."""
        return Curve(self.gaps, self.gain_frac, self.kind)


def newest(runs: Sequence[Sequence[EarlierCurve]]) -> list[tuple[EarlierCurve, ...]]:
    """The curves of each run, newest run first, without the oldest where there are more than MAX_EARLIER_CURVES."""
    left, kept = MAX_EARLIER_CURVES, []
    for curves in runs:
        kept.append(tuple(curves[max(0, len(curves) - left) :]))
        left -= len(kept[-1])
    return kept


def curves_of(runs: Iterable[Sequence[EarlierCurve]]) -> list[Curve]:
    """The curves of runs, newest run first, in the order in which they were measured."""
    return [one.curve() for curves in reversed(list(runs)) for one in curves]
