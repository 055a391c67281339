"""A trajectory without the failures of a model, so that an optimizer beside it proposes as it would without them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from autoresearch.core.results import Result
from autoresearch.core.trajectory import Trajectory


@dataclass(slots=True)
class WithoutFailures(Trajectory):
    """A trajectory without some closed iterations. What was tried in them stays known: it is not proposed again."""

    hidden: int = 0

    @property
    def new_iter(self) -> int:
        """The number that a new iteration would have without them."""
        return super(WithoutFailures, self).new_iter - self.hidden


def without_failures(trajectory: Trajectory, source: str) -> Trajectory:
    """``trajectory`` without the iterations that ``source`` ended with a failed trial or with nothing but refusals."""
    shown = [result for result in trajectory.results if not is_failure_of(result, source)]
    hidden = len(trajectory.results) - len(shown)
    if not hidden:
        return trajectory
    view = WithoutFailures(**{f.name: getattr(trajectory, f.name) for f in fields(Trajectory)}, hidden=hidden)
    view.results = shown
    return view


def is_failure_of(result: Result, source: str) -> bool:
    """Whether an iteration of ``source`` ended without a measurement."""
    return result.source == source and result.stage in ("eval_failed", "blocked", "proposer_failed")
