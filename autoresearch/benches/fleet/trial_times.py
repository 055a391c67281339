"""How long simulated trials take: measured seconds of configurations and of their repeats, on unequal devices."""

from __future__ import annotations

import json
import math
import random
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from autoresearch.benches.search.table import Table, TableRow
from autoresearch.core.executor import TrialOrder
from autoresearch.core.values import Cfg
from autoresearch.proposers.cube import Array, Cube

ASSUMED_S = 300.0  # of the baseline, where nothing is measured
ASSUMED_SPREAD = 0.1  # standard deviation of the logarithm, of a configuration and of a repeat
MIN_TIMES = 20
MIN_REPEATS = 10
DEVICE_SPREAD = 0.05  # standard deviation of the logarithm of a device's speed
SLOW_DEVICE = 16  # one of so many devices ...
SLOWNESS = 2.0  # ... takes so many times as long


@dataclass(frozen=True)
class TrialTimes:
    """Relative to the median trial, which takes ``typical_s``.

    ``of_configurations`` belong to ``points`` where these are of the same knobs as the trials; otherwise ``points`` is
    ``None``, and a configuration has one of them by chance, the same each time.
    """

    typical_s: float
    of_configurations: tuple[float, ...]
    of_repeats: tuple[float, ...]
    are_measured: bool
    cube: Cube | None = None
    points: Array | None = field(default=None, repr=False)

    def seconds(self, cfg: Cfg, seed: int, luck: int) -> float:
        """Of one trial on a device of speed 1; ``luck`` is the seed of the night."""
        drawn = random.Random(f"{luck}:{seed}:{json.dumps(cfg, sort_keys=True)}")
        return self.typical_s * self._share(cfg) * drawn.choice(self.of_repeats)

    def _share(self, cfg: Cfg) -> float:
        if self.cube is None or self.points is None:
            return random.Random(json.dumps(cfg, sort_keys=True)).choice(self.of_configurations)
        at = self.cube.expand(self.cube.places([cfg]))
        return self.of_configurations[int(np.argmin(((self.points - at) ** 2).sum(axis=1)))]

    @property
    def longest(self) -> float:
        """The longest trial relative to the median, as far as configurations and repeats are concerned."""
        return max(self.of_configurations) * max(self.of_repeats)


def times_of(timed: Table, searched: Table, typical_s: float | None) -> TrialTimes:
    """From the seconds of ``timed``; invented ones where it has fewer than ``MIN_TIMES``."""
    rows = [row for row in timed.rows if row.trial_s]
    if len(rows) < MIN_TIMES:
        draw = random.Random(0)
        spread = [tuple(math.exp(draw.gauss(0.0, ASSUMED_SPREAD)) for _ in range(1000)) for _ in range(2)]
        return TrialTimes(typical_s or ASSUMED_S, spread[0], spread[1], are_measured=False)
    of_cfg: dict[str, list[TableRow]] = defaultdict(list)
    for row in rows:
        of_cfg[json.dumps(row.cfg, sort_keys=True)].append(row)
    means = [statistics.fmean(row.trial_s or 0.0 for row in found) for found in of_cfg.values()]
    middle = statistics.median(means)
    repeats = _repeats(list(of_cfg.values()), means)
    cube = Cube(searched.menu) if searched.menu.knobs == timed.menu.knobs else None
    points = None if cube is None else cube.expand(cube.places([found[0].cfg for found in of_cfg.values()]))
    return TrialTimes(typical_s or middle, tuple(m / middle for m in means), repeats, True, cube, points)


def _repeats(groups: Sequence[Sequence[TableRow]], means: Sequence[float]) -> tuple[float, ...]:
    """Seconds of repeats relative to their mean; 1 where the table has too few."""
    found = [
        (row.trial_s or 0.0) / mean
        for group, mean in zip(groups, means, strict=True)
        if len(group) > 1
        for row in group
    ]
    return tuple(found) if len(found) >= MIN_REPEATS else (1.0,)


def device_factors(count: int, luck: int) -> tuple[float, ...]:
    """By how much each device is slower than the first, which has speed 1: one in sixteen is a straggler."""
    draw = random.Random(f"devices:{luck}")
    factors = [math.exp(draw.gauss(0.0, DEVICE_SPREAD)) for _ in range(count)]
    factors[0] = 1.0
    return tuple(f * (SLOWNESS if n % SLOW_DEVICE == SLOW_DEVICE - 1 else 1.0) for n, f in enumerate(factors))


@dataclass(slots=True)
class Devices:
    """Which device runs which trial, and when each is busy. A trial goes to the free device with the lowest number."""

    times: TrialTimes
    factors: tuple[float, ...]
    luck: int
    busy: list[tuple[float, float]] = field(default_factory=list)  # beginning and end of each trial
    _free_at: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._free_at = [-math.inf] * len(self.factors)

    def begin(self, order: TrialOrder, now: float) -> float:
        """The seconds that the trial takes on the device that it is given."""
        device = next((n for n, at in enumerate(self._free_at) if at <= now), None)
        if device is None:  # the clock is a rounding error before the end that the executor reported
            device = min(range(len(self._free_at)), key=self._free_at.__getitem__)
        seconds = self.times.seconds(order.cfg, order.seed, self.luck) * self.factors[device]
        self._free_at[device] = now + seconds
        self.busy.append((now, now + seconds))
        return seconds

    def used(self, begin: float, end: float) -> float:
        """The share of all devices' time between two moments in which they ran trials."""
        if end <= begin:
            return 0.0
        total = sum(max(0.0, min(b, end) - max(a, begin)) for a, b in self.busy)
        return total / ((end - begin) * len(self.factors))
