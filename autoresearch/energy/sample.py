"""One look at a power sensor, as a value. What the sensor does not say is ``None``, never 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_W = 20_000.0  # no box that stands on a desk or in one rack unit takes more: a sensor that says so is mistaken


@dataclass(frozen=True, slots=True)
class Sample:
    """At ``t`` (seconds of a clock that stands still while the machine sleeps) this was so.

    ``power_w`` is the power at that moment, ``counter_j`` the joules since some moment that only the sensor knows; a
    sensor has one of the two or both. ``asleep_s`` is how long the machine had been suspended in all by then.
    """

    t: float
    power_w: float | None = None
    counter_j: float | None = None
    util_pct: float | None = None
    mem_used_bytes: int | None = None
    temp_c: float | None = None
    clock_mhz: float | None = None
    slowdowns: tuple[str, ...] | None = None  # why the device runs below its clocks now; empty: it does not
    others_util_pct: float | None = None  # what of the device other processes use
    asleep_s: float = 0.0

    @property
    def watts(self) -> float | None:
        """``power_w`` where it can be true."""
        return self.power_w if self.power_w is not None and _plausible(self.power_w, MAX_W) else None

    @property
    def joules(self) -> float | None:
        """``counter_j`` where it can be true."""
        return self.counter_j if self.counter_j is not None and _plausible(self.counter_j, math.inf) else None

    @property
    def tells_energy(self) -> bool:
        """Whether it says anything of power or energy."""
        return self.watts is not None or self.joules is not None


def _plausible(value: float, most: float) -> bool:
    return math.isfinite(value) and 0 <= value <= most


def together(samples: Sequence[Sample], t: float) -> Sample:
    """Several devices as one. What one of them does not say is not known of all."""

    def fold(how: Callable[[list[float]], float], name: str) -> float | None:
        known = [value for s in samples if (value := getattr(s, name)) is not None]
        return how(known) if known and len(known) == len(samples) else None

    slowed = [s.slowdowns for s in samples if s.slowdowns is not None]
    memory = fold(sum, "mem_used_bytes")
    return Sample(
        t,
        power_w=fold(sum, "watts"),
        counter_j=fold(sum, "joules"),
        util_pct=fold(_mean, "util_pct"),
        mem_used_bytes=None if memory is None else int(memory),
        temp_c=fold(max, "temp_c"),
        clock_mhz=fold(min, "clock_mhz"),
        slowdowns=tuple(sorted({n for names in slowed for n in names})) if len(slowed) == len(samples) else None,
        others_util_pct=fold(_mean, "others_util_pct"),
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
