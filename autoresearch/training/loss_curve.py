"""The training loss over the fraction of the budget done, in a fixed number of points whatever the number of steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from autoresearch.core.measurement import CURVE_POINTS

CURVE_DECIMALS = 5  # a point is then at most about ten bytes of the record


@dataclass(slots=True)
class LossCurve:
    """Averages the losses of the steps over ``CURVE_POINTS`` equal parts of the budget.

    A step counts in each part by the share of the budget that it spent there, so a trial with fewer steps than points
    has all points too. The losses arrive later than their steps: on CUDA the host runs ahead of the device.
    ``nats`` are the sums of loss times share, ``shares`` those of the shares; both are 0 where no step is known.
    """

    reached: float = 0.0  # the fraction of the budget that was done after the last step
    nats: list[float] = field(default_factory=lambda: [0.0] * CURVE_POINTS)
    shares: list[float] = field(default_factory=lambda: [0.0] * CURVE_POINTS)
    _pending: deque[tuple[float, float]] = field(default_factory=deque)  # start and end of steps without a loss yet

    @classmethod
    def resumed(cls, reached: float, nats: Sequence[float], shares: Sequence[float]) -> LossCurve:
        """The curve of a trial that continues after ``reached``; empty sums are those of a trial that starts."""
        return cls(reached, list(nats), list(shares)) if nats and shares else cls(reached)

    def advance(self, fraction: float) -> None:
        """Note that a step has ended at ``fraction`` of the budget; its loss follows, in the order of the steps."""
        self._pending.append((self.reached, fraction))
        self.reached = fraction

    def add(self, loss: float) -> None:
        """Add the loss of the oldest step that has none."""
        start, end = self._pending.popleft()
        first, last = (min(CURVE_POINTS - 1, int(at * CURVE_POINTS)) for at in (start, end))
        for n in range(first, last + 1):
            share = min(end, (n + 1) / CURVE_POINTS) - max(start, n / CURVE_POINTS)
            if share > 0:
                self.nats[n] += loss * share
                self.shares[n] += share

    def points(self) -> tuple[float, ...] | None:
        """The mean loss of each part; ``None`` while a part has no step, or if a checkpoint did not have the sums."""
        return self._means(CURVE_POINTS) if all(self.shares) else None

    def first_points(self, count: int) -> tuple[float, ...] | None:
        """The mean loss of each of the first ``count`` parts; ``None`` unless the losses of all their steps are known.

        In a trial that resumed from a checkpoint without the sums they never are.
        """
        whole = (1 - 1e-6) / CURVE_POINTS
        return self._means(count) if all(share >= whole for share in self.shares[:count]) else None

    def _means(self, count: int) -> tuple[float, ...]:
        means = (nats / share for nats, share in zip(self.nats[:count], self.shares[:count], strict=True))
        return tuple(round(mean, CURVE_DECIMALS) for mean in means)
