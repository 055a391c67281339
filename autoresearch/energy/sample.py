"""One reading of a sensor, as a value. A quantity that the sensor does not report is ``None``, never 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_W = 20_000.0  # no machine on a desk or in one rack unit takes more: a larger reading is an error


@dataclass(frozen=True, slots=True)
class Sample:
    """The readings at ``t``, in seconds of a clock that stops while the machine is suspended (CLOCK_MONOTONIC).

    ``power_w`` is the power at that moment, ``counter_j`` the joules since a start that only the sensor knows; a sensor
    has one of the two or both. ``suspended_s`` is the total time in suspend since the machine booted.
    """

    t: float
    power_w: float | None = None
    counter_j: float | None = None
    util_pct: float | None = None
    mem_used_bytes: int | None = None
    temp_c: float | None = None
    clock_mhz: float | None = None
    slowdowns: tuple[str, ...] | None = None  # the faults that lower its clocks now; empty: none
    others_util_pct: float | None = None  # percent of the device that other processes use
    suspended_s: float = 0.0

    @property
    def watts(self) -> float | None:
        """``power_w`` where it is plausible, else ``None``."""
        return self.power_w if self.power_w is not None and _plausible(self.power_w, MAX_W) else None

    @property
    def joules(self) -> float | None:
        """``counter_j`` where it is plausible, else ``None``."""
        return self.counter_j if self.counter_j is not None and _plausible(self.counter_j, math.inf) else None

    @property
    def has_energy(self) -> bool:
        """Whether it has a power or an energy."""
        return self.watts is not None or self.joules is not None


def _plausible(value: float, maximum: float) -> bool:
    return math.isfinite(value) and 0 <= value <= maximum


def combine_devices(samples: Sequence[Sample], t: float) -> Sample:
    """One sample of several devices together. A quantity that one of them does not report is ``None``."""

    def fold(combine: Callable[[list[float]], float], name: str) -> float | None:
        known = [value for s in samples if (value := getattr(s, name)) is not None]
        return combine(known) if known and len(known) == len(samples) else None

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
