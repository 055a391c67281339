"""What a run has learned of the joint space, as arrays: one row per result, the baseline first. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np

from autoresearch.core.results import Result
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.cube import Array, Cube
from rails import Config

REACH = 5.0  # of the distance from the best value to the median: how far above the median values are told apart
MIN_REACH = 0.02  # in fractions of the baseline, for the first trials


@dataclass(frozen=True, slots=True)
class Evidence:
    """``loss`` is the gain with its sign turned, in fractions of the baseline: 0 is the baseline, lower is better.

    It is NaN for what has no value: a failure, for which nothing is made up, and a trial that was stopped early.
    """

    places: Array
    loss: Array
    repeats: Array  # trials that the loss is the mean of
    kept: Array  # 1 for a keep
    stopped: Array  # 1 for a trial that was stopped early
    known: Array  # how many rows were known when it was proposed: in a serial run all before it

    @property
    def has_value(self) -> Array:
        return np.asarray(np.isfinite(self.loss))

    @property
    def failed(self) -> Array:
        return np.asarray(~self.has_value & (self.stopped == 0))

    def with_stops(self) -> Evidence:
        """A trial that was stopped early is taken for a typical loser: it could not become a keep, no more is known."""
        worse = self.loss[self.loss > 0]
        typical = float(np.median(worse)) if len(worse) else 0.0
        return replace(self, loss=np.where(self.stopped > 0, typical, self.loss))

    def tempered(self) -> Evidence:
        """Values far above the others are set to a ceiling: of a diverged trial it matters that it is bad, not how bad.

        One finite but huge value would otherwise set the scale of all, and the differences among the good ones would
        pass for noise. The ceiling follows from the better half, which up to half of the trials cannot move.
        """
        ended = self.loss[self.has_value]
        if not len(ended):
            return self
        middle = float(np.quantile(ended, 0.5, method="lower"))
        ceiling = middle + max(MIN_REACH, REACH * (middle - float(ended.min())))
        return replace(self, loss=np.minimum(self.loss, ceiling))  # NaN stays NaN

    def __len__(self) -> int:
        return len(self.loss)

    def first(self, count: int) -> Evidence:
        """What was known after that many rows."""
        rows = slice(count)
        return Evidence(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(slots=True)
class EvidenceReader:
    """Reads a trajectory once: rows of results that were read before are kept, those of another run are dropped."""

    cube: Cube
    baseline: Config
    _read: list[Result] = field(default_factory=list)
    _rows: list[tuple[Array, float, float, float, float, int]] = field(default_factory=list)
    _rows_after: list[int] = field(default_factory=list)  # how many rows there were after each result

    @property
    def _count(self) -> int:
        """Results read, those without a candidate included."""
        return len(self._rows_after)

    def read(self, trajectory: Trajectory) -> Evidence:
        """The evidence of every closed iteration that tried a candidate."""
        results = trajectory.results
        if self._count > len(results) or (self._count and results[self._count - 1] is not self._read[-1]):
            self._read, self._rows, self._rows_after = [], [], []
        for result in results[self._count :]:
            if result.changes:
                self._rows.append(self._row(result))
            self._rows_after.append(len(self._rows))
        self._read = results[-1:]
        own = self.cube.places([self.baseline])[0]
        seeds = float(max(1, len(trajectory.baseline.trials))) if trajectory.baseline else 1.0
        rows = [(own, 0.0, seeds, 0.0, 0.0, 0), *self._rows]
        places, *columns = zip(*rows, strict=True)
        return Evidence(np.array(places), *map(np.array, columns))

    def _row(self, result: Result) -> tuple[Array, float, float, float, float, int]:
        place = self.cube.places([{**self.baseline, **dict(result.changes)}])[0]
        loss = float("nan") if result.improvement_frac is None else -result.improvement_frac
        stopped = float(result.stopped is not None)
        before = self._rows_after if result.known is None else self._rows_after[: result.known]
        known = 1 + (before[-1] if before else 0)  # with the baseline
        return place, loss, float(max(1, result.trials)), float(result.is_keep), stopped, known
