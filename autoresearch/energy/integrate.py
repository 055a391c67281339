"""Integrates samples to joules, with the time that the joules cover. Pure: reads no clock and no file.

Between two neighbouring samples the energy is the difference of the counter where there is one, else the trapezoid of
the power. Energy that is not known is left out and lowers the coverage; it is never estimated:

- a gap: samples further apart than ``gap_s`` are not joined by a trapezoid (a counter continued to count meanwhile);
- a reset: over an interval in which the counter decreased, the trapezoid of the power is used;
- a stall: a counter that stood still for half a second under power is ignored until it moves again, and so is its first
  step, which may hold the energy of the stall; the trapezoid of the power is used;
- a suspend: the time in suspend is not part of the run, and an interval with a suspend in it has no known energy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from autoresearch.energy.sample import MAX_W, Sample

GAP_S = 5.0  # of samples taken once a second
STALL_S = 0.5  # NVML's counter moves ten times a second
SUSPEND_S = 0.5  # a smaller difference is jitter between the two clocks


@dataclass(frozen=True, slots=True)
class Interval:
    """The time from one sample to the next; ``joules`` is ``None`` where the energy is not known."""

    seconds: float
    joules: float | None
    peak_w: float | None = None


@dataclass(slots=True)
class Integrator:
    """Takes samples in order of time and returns the interval that each one ends."""

    gap_s: float = GAP_S
    last: Sample | None = None
    stalled: bool = False

    def add(self, sample: Sample) -> Interval | None:
        """The interval that ends with ``sample``; ``None`` where it is the first one, or has no power or energy."""
        if not sample.has_energy:
            return None
        before, self.last = self.last, sample
        if before is None or sample.t <= before.t:
            return None
        joules = self._energy_between(before, sample)
        return Interval(sample.t - before.t, joules, None if joules is None else _peak(before, sample, joules))

    def split(self, t: float) -> Interval | None:
        """End an interval at ``t`` without a sample, and start the next one there. The last power is held until ``t``.

        A counter has no value at ``t``, so it is not used for either of the two intervals.
        """
        before = self.last
        if before is None or t <= before.t:
            return None
        if before.watts is None or t - before.t > self.gap_s:
            self.last = None
            return Interval(t - before.t, None)
        return self.add(replace(before, t=t, counter_j=None))

    def _energy_between(self, before: Sample, after: Sample) -> float | None:
        was_stalled, self.stalled = self.stalled, False
        if after.suspended_s - before.suspended_s > SUSPEND_S:
            return None
        seconds = after.t - before.t
        by_power = trapezoid(before, after) if seconds <= self.gap_s else None
        if before.joules is None or after.joules is None:
            return by_power
        counted = after.joules - before.joules
        if counted < 0 or counted > MAX_W * max(1.0, seconds):
            return by_power
        self.stalled = counted == 0 and (was_stalled or seconds >= STALL_S)
        return by_power if was_stalled or self.stalled else counted


def trapezoid(before: Sample, after: Sample) -> float | None:
    """Joules of a power that changed linearly from one sample to the other; ``None`` where one of them has no power."""
    if before.watts is None or after.watts is None:
        return None
    return (before.watts + after.watts) / 2 * (after.t - before.t)


def _peak(before: Sample, after: Sample, joules: float) -> float | None:
    known = [w for w in (before.watts, after.watts) if w is not None]
    if known:
        return max(known)
    seconds = after.t - before.t
    # Over a shorter time, one step of a counter looks like a peak.
    return joules / seconds if seconds >= STALL_S else None


@dataclass(slots=True)
class Total:
    """The sum of intervals. ``energy_j`` is the energy of ``covered_s`` alone: it is not scaled up to ``span_s``."""

    span_s: float = 0.0
    covered_s: float = 0.0
    energy_j: float | None = None
    peak_w: float | None = None
    gaps: int = 0  # intervals whose energy is not known

    def add(self, interval: Interval) -> None:
        """Add one interval. Its time is not added to ``span_s``, which the caller keeps."""
        if interval.joules is None:
            self.gaps += 1
            return
        self.covered_s += interval.seconds
        self.energy_j = (self.energy_j or 0.0) + interval.joules
        if interval.peak_w is not None:
            self.peak_w = max(interval.peak_w, self.peak_w or 0.0)

    @property
    def coverage(self) -> float:
        """The share of ``span_s`` whose energy is known."""
        return share(self.covered_s, self.span_s)

    @property
    def mean_w(self) -> float | None:
        """Watts over the covered seconds."""
        return None if self.energy_j is None or self.covered_s <= 0 else self.energy_j / self.covered_s


def share(covered_s: float, span_s: float) -> float:
    """The covered share, at most 1; 0 where the span is 0."""
    return min(1.0, covered_s / span_s) if span_s > 0 else 0.0


def integrate(samples: Iterable[Sample], gap_s: float = GAP_S) -> Total:
    """The total of a whole series; its span is from the first sample to the last, also where these have no power."""
    total, integrator = Total(), Integrator(gap_s)
    last: Sample | None = None
    for sample in samples:
        total.span_s += max(0.0, sample.t - last.t) if last else 0.0
        last = sample
        if interval := integrator.add(sample):
            total.add(interval)
    return total
