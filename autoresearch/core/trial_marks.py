"""Marks of trials that may not show what their configuration can do. Pure.

``throttled``: heat or the power supply held the GPU below its clocks in a tenth of the samples of its training. The
power cap does not count: a GPU under full load reaches it by design.

``contended``: other processes used a tenth of the GPU while it trained; on the CPU, some process waited for a core in a
third of that time.

``slow``: it computed at less than a third of the baseline's FLOP/s. A small batch alone may cause that; where the
clocks of both are known, they must also be well below the baseline's, as on a GB10 that is stuck in a low-power state.

``fast``: it computed at more than 1.5 times the baseline's FLOP/s although no knob that changes a step's time differs,
or at more than 3 times although some do: then the baseline was held back by something that no sensor saw. With another
precision it is never set, because that alone may be worth as much. Undisturbed repeats of one shape differ by some per
cent; one other busy process for each core halves the speed, so that 1.5 lies between. 3 is the counterpart of ``slow``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from autoresearch.core.measurement import Mark, Measurement, Outcome
from autoresearch.core.power import Phase, Power
from autoresearch.core.records import Meta, TrialEnded
from autoresearch.core.stopped_trial import EarlyStop
from rails import Config
from rails.knob_facts import UNTIMED_KNOBS

THROTTLED_FRAC = 0.1
OTHERS_PCT = 10.0
WAITING_FRAC = 1 / 3
SLOW_FRAC = 1 / 3
LOW_CLOCK_FRAC = 0.8
FAST_SAME_SHAPE = 1.5
FAST_OTHER_SHAPE = 1 / SLOW_FRAC


def compute_marks(
    outcome: Outcome,
    power: Mapping[Phase, Power],
    baseline: Sequence[TrialEnded],
    fast_above: float | None = None,
) -> tuple[Mark, ...]:
    """Return the marks in alphabetical order; an unknown value sets no mark. ``fast_above``: see ``fast_limit``."""
    marks: list[Mark] = []
    train = power.get("train")
    if train and is_contended(train, outcome):
        marks.append("contended")
    if isinstance(outcome, Measurement) and is_fast(outcome, baseline, fast_above):
        marks.append("fast")
    if isinstance(outcome, Measurement) and is_slow(outcome, train, baseline):
        marks.append("slow")
    if train and (train.slowed_frac or 0.0) >= THROTTLED_FRAC:
        marks.append("throttled")
    return tuple(marks)


def is_contended(train: Power, outcome: Outcome) -> bool:
    """Whether other processes used the device that the trial trained on."""
    if (train.others_util_pct or 0.0) >= OTHERS_PCT:
        return True
    on_cpu = isinstance(outcome, Measurement | EarlyStop) and outcome.device.startswith("cpu")
    return on_cpu and (train.cpu_wait_frac or 0.0) >= WAITING_FRAC


def fast_limit(cfg: Config, baseline_cfg: Config) -> float | None:
    """How many times the baseline's FLOP/s a configuration may reach undisturbed; ``None`` where that is unknown."""
    if cfg.get("precision") != baseline_cfg.get("precision"):
        return None
    same = all(cfg.get(name) == baseline_cfg.get(name) for name in {*cfg, *baseline_cfg} - UNTIMED_KNOBS)
    return FAST_SAME_SHAPE if same else FAST_OTHER_SHAPE


def is_fast(outcome: Measurement, baseline: Sequence[TrialEnded], limit: float | None) -> bool:
    """Whether the trial was far faster than the baseline's trials."""
    rates = [rate for t in baseline if isinstance(t.outcome, Measurement) and (rate := flops_per_s(t.outcome))]
    own = flops_per_s(outcome)
    return limit is not None and own is not None and bool(rates) and own > limit * fmean(rates)


def is_timed(meta: Meta | None) -> bool:
    """Whether speed changes results: only under a budget in seconds."""
    return meta is not None and meta.yardstick.budget_kind == "seconds"


def deciding_marks(trials: Iterable[TrialEnded], meta: Meta | None) -> tuple[Mark, ...]:
    """The marks of the trials that were compared, where speed changes results; none elsewhere."""
    return tuple(sorted({mark for t in trials for mark in t.marks})) if is_timed(meta) else ()


def describe_disturbance(candidate: Iterable[Mark], baseline: Iterable[Mark]) -> str:
    """``the baseline ran contended, the candidate fast``; empty without marks."""
    sides = {"the baseline": sorted(set(baseline)), "the candidate": sorted(set(candidate))}
    return ", ".join(f"{who} ran {' and '.join(marks)}" for who, marks in sides.items() if marks)


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
    """Return the FLOP/s of training; ``None`` if training took no time or its FLOPs are not known."""
    if measured.train_flops is None:
        return None
    return measured.train_flops / measured.train_wall_s if measured.train_wall_s > 0 else None
