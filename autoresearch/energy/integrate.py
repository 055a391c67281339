"""From samples to joules, with how much of the time they speak of. Pure: no clock, no file.

Between two neighbouring samples the energy is the difference of the counter where there is one, else the trapezoid of
the power. What cannot be known is left out and lowers the coverage; nothing is made up:

- a gap: samples further apart than ``gap_s`` are not joined by a trapezoid (a counter has gone on counting meanwhile);
- a reset: a counter that went down says nothing of that interval, so the power has to;
- a stall: a counter that stood still for half a second under power says nothing until it moves again, and its first
  move may hold what it had kept back, so that is not believed either;
- a suspend: the time asleep is no time of the run, and an interval with a sleep in it belongs to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from autoresearch.energy.sample import MAX_W, Sample

GAP_S = 5.0  # of samples taken once a second
STALL_S = 0.5  # NVML's counter moves ten times a second
ASLEEP_S = 0.5  # less is the jitter between the two clocks


@dataclass(frozen=True, slots=True)
class Interval:
    """The time from one sample to the next; ``joules`` is ``None`` where nobody knows them."""

    seconds: float
    joules: float | None
    peak_w: float | None = None


@dataclass(slots=True)
class Integrator:
    """Takes samples in their order and says what each interval came to."""

    gap_s: float = GAP_S
    last: Sample | None = None
    stalled: bool = False

    def add(self, sample: Sample) -> Interval | None:
        """The interval that ends with ``sample``; ``None`` where it begins one, or says nothing of energy."""
        if not sample.tells_energy:
            return None
        before, self.last = self.last, sample
        if before is None or sample.t <= before.t:
            return None
        joules = self._between(before, sample)
        return Interval(sample.t - before.t, joules, None if joules is None else _peak(before, sample, joules))

    def cut(self, t: float) -> Interval | None:
        """End an interval at ``t`` without a sample: the last power is taken to have held until then.

        What comes next begins there. A counter that cannot be asked now is no help across the cut.
        """
        before = self.last
        if before is None or t <= before.t:
            return None
        if before.watts is None or t - before.t > self.gap_s:
            self.last = None
            return Interval(t - before.t, None)
        return self.add(replace(before, t=t, counter_j=None))

    def _between(self, before: Sample, after: Sample) -> float | None:
        was_stalled, self.stalled = self.stalled, False
        if after.asleep_s - before.asleep_s > ASLEEP_S:
            return None
        seconds = after.t - before.t
        bridged = trapezoid(before, after) if seconds <= self.gap_s else None
        if before.joules is None or after.joules is None:
            return bridged
        moved = after.joules - before.joules
        if moved < 0 or moved > MAX_W * max(1.0, seconds):
            return bridged
        self.stalled = moved == 0 and (was_stalled or seconds >= STALL_S)
        return bridged if was_stalled or self.stalled else moved


def trapezoid(before: Sample, after: Sample) -> float | None:
    """Joules of a power that went straight from one sample to the other."""
    if before.watts is None or after.watts is None:
        return None
    return (before.watts + after.watts) / 2 * (after.t - before.t)


def _peak(before: Sample, after: Sample, joules: float) -> float | None:
    seen = [w for w in (before.watts, after.watts) if w is not None]
    if seen:
        return max(seen)
    seconds = after.t - before.t
    return joules / seconds if seconds >= STALL_S else None  # in less, one step of a counter is a spike


@dataclass(slots=True)
class Total:
    """What intervals add up to. ``energy_j`` is of ``covered_s`` alone: nothing is scaled up to ``span_s``."""

    span_s: float = 0.0
    covered_s: float = 0.0
    energy_j: float | None = None
    peak_w: float | None = None
    gaps: int = 0  # intervals whose energy is not known

    def add(self, interval: Interval) -> None:
        """One interval more; the time it took is not added to ``span_s``, which its owner knows better."""
        if interval.joules is None:
            self.gaps += 1
            return
        self.covered_s += interval.seconds
        self.energy_j = (self.energy_j or 0.0) + interval.joules
        if interval.peak_w is not None:
            self.peak_w = max(interval.peak_w, self.peak_w or 0.0)

    @property
    def coverage(self) -> float:
        """The share of ``span_s`` that ``energy_j`` speaks of."""
        return share(self.covered_s, self.span_s)

    @property
    def mean_w(self) -> float | None:
        """Over the seconds that are covered."""
        return None if self.energy_j is None or self.covered_s <= 0 else self.energy_j / self.covered_s


def share(covered_s: float, span_s: float) -> float:
    """The coverage; of no time at all it is 0."""
    return min(1.0, covered_s / span_s) if span_s > 0 else 0.0


def integrate(samples: Iterable[Sample], gap_s: float = GAP_S) -> Total:
    """The total of a whole series; its span goes from the first sample to the last, whatever they say."""
    total, integrator = Total(), Integrator(gap_s)
    last: Sample | None = None
    for sample in samples:
        total.span_s += max(0.0, sample.t - last.t) if last else 0.0
        last = sample
        if interval := integrator.add(sample):
            total.add(interval)
    return total
