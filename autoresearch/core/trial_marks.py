"""Marks of trials that may not show what their configuration can do. Pure.

``throttled``: heat or the power supply held the GPU below its clocks in a tenth of the samples of its training. The
power cap does not count: a GPU under full load reaches it by design.

``contended``: other processes used a tenth of the GPU while it trained; on the CPU, some process waited for a core in a
third of that time.

``slow``: it computed at less than a third of the baseline's FLOP/s. A small batch alone may cause that; where the
clocks of both are known, they must also be well below the baseline's, as on a GB10 that is stuck in a low-power state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from autoresearch.core.measurement import Mark, Measurement, Outcome
from autoresearch.core.power import Phase, Power
from autoresearch.core.records import TrialEnded

THROTTLED_FRAC = 0.1
OTHERS_PCT = 10.0
WAITING_FRAC = 1 / 3
SLOW_FRAC = 1 / 3
LOW_CLOCK_FRAC = 0.8


def compute_marks(outcome: Outcome, power: Mapping[Phase, Power], baseline: Sequence[TrialEnded]) -> tuple[Mark, ...]:
    """Return the marks in alphabetical order; an unknown value sets no mark."""
    marks: list[Mark] = []
    train = power.get("train")
    if train and is_contended(train, outcome):
        marks.append("contended")
    if isinstance(outcome, Measurement) and is_slow(outcome, train, baseline):
        marks.append("slow")
    if train and (train.slowed_frac or 0.0) >= THROTTLED_FRAC:
        marks.append("throttled")
    return tuple(marks)


def is_contended(train: Power, outcome: Outcome) -> bool:
    """Whether other processes used the device that the trial trained on."""
    if (train.others_util_pct or 0.0) >= OTHERS_PCT:
        return True
    on_cpu = isinstance(outcome, Measurement) and outcome.device.startswith("cpu")
    return on_cpu and (train.cpu_wait_frac or 0.0) >= WAITING_FRAC


def is_slow(outcome: Measurement, train: Power | None, baseline: Sequence[TrialEnded]) -> bool:
    """Whether the trial was far slower than the baseline and its clocks, where known, were far lower too."""
    measured = [(t.outcome, t.power.get("train")) for t in baseline if isinstance(t.outcome, Measurement)]
    rates = [rate for m, _ in measured if (rate := flops_per_s(m))]
    own = flops_per_s(outcome)
    if not rates or own is None or own >= SLOW_FRAC * fmean(rates):
        return False
    clocks = [p.clock_mhz for _, p in measured if p and p.clock_mhz]
    if train is None or train.clock_mhz is None or not clocks:
        return True
    return train.clock_mhz < LOW_CLOCK_FRAC * fmean(clocks)


def flops_per_s(measured: Measurement) -> float | None:
    """Return the FLOP/s of training; ``None`` if training took no time."""
    return measured.train_flops / measured.train_wall_s if measured.train_wall_s > 0 else None
