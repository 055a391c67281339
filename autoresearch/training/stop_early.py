"""End a trial whose training loss is above the limit of its part of the budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from autoresearch.core.measurement import CURVE_POINTS
from autoresearch.core.stopped_trial import EarlyStop
from autoresearch.training.loss_curve import LossCurve
from autoresearch.verdicts.stop_limits import Limits, first_above


class LimitExceeded(Exception):
    """Raised to leave a trial that can no longer become a keep; not a failure."""

    def __init__(self, stop: EarlyStop) -> None:
        super().__init__(stop.stopped_early.describe())
        self.stop = stop


class Synchronised(Protocol):
    """What the ranks of a model need to end at the same step."""

    @property
    def rank(self) -> int: ...

    def any_rank(self, flag: bool) -> bool:
        """Whether ``flag`` is true on any rank; every rank must call it."""
        ...


@dataclass(slots=True)
class LimitWatch:
    """Compares the loss of each part of the budget with its limit, once that part is over."""

    limits: Limits
    over: int = 0  # parts of the budget that are over

    @classmethod
    def starting_at(cls, limits: Limits, fraction: float) -> LimitWatch:
        """The watch of a trial that starts or resumes at ``fraction`` of its budget: earlier parts were compared."""
        return cls(limits, _parts_over(fraction))

    def is_due(self, fraction: float) -> bool:
        """Whether a part that has a limit is over since the last call of ``exceeded``. The same on every rank."""
        return any(limit is not None for limit in self.limits[self.over : _parts_over(fraction)])

    def exceeded(self, fraction: float, curve: LossCurve, model: Synchronised) -> int | None:
        """The first part since the last call whose loss is above its limit, or ``None`` on every rank.

        Rank 0 decides and reports; the others, whose losses may differ in the last bit, only end with it.
        """
        first, self.over = self.over, _parts_over(fraction)
        due = tuple(limit if n >= first else None for n, limit in enumerate(self.limits[: self.over]))
        found = first_above(curve.first_points(self.over) or (), due)
        if not model.any_rank(found is not None and model.rank == 0):
            return None
        return found if found is not None else max(n for n, limit in enumerate(due) if limit is not None)


def _parts_over(fraction: float) -> int:
    return int(fraction * CURVE_POINTS + 1e-9)
