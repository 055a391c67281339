"""Power and energy of an interval in a record: joules and watts, always with scope, method and coverage.

An unknown value is ``null``. ``energy_j`` and ``mean_w`` are of the covered share (``coverage``) of the interval only:
nothing is scaled up. Figures of different scope are never added.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import Field

from autoresearch.core.values import Fraction, FrozenModel, NotNegative

Phase = Literal["start", "train", "validate", "propose", "paused", "idle"]
Method = Literal["hwmon", "nvml_energy", "nvml_power", "nvidia_smi", "rapl", "none"]
Scope = Literal["system", "gpu", "package"]  # the whole machine; the GPU's board; the CPU's package
PHASES: tuple[Phase, ...] = get_args(Phase)
TRIAL_PHASES: tuple[Phase, ...] = ("start", "train", "validate")
JOULES_PER_KWH = 3.6e6
MOMENT_S = 1e-9  # weight of a gauge reading in a phase of zero duration


class Power(FrozenModel):
    """What one phase took, by one meter. Memory, utilisation and clocks are the GPU's where there is one."""

    method: Method | Literal["mixed"]  # mixed: a sum over starts that had different sensors of one scope
    scope: Scope | None
    span_s: NotNegative  # without the time that the machine slept
    coverage: Fraction  # the share of span_s that energy_j and mean_w are of
    energy_j: NotNegative | None = None
    mean_w: NotNegative | None = None
    peak_w: NotNegative | None = None
    temp_c: float | None = None  # the highest
    clock_mhz: NotNegative | None = None  # mean
    util_pct: NotNegative | None = None  # mean
    mem_used_bytes: Annotated[int, Field(ge=0)] | None = None  # the most; the machine's where NVML has none
    slowed_frac: Fraction | None = None  # of the samples: heat or the supply held the device below its clocks
    slowdowns: tuple[str, ...] = ()  # for which reasons
    shared: bool | None = None  # something else, an LLM server, was on the same device: its joules are in here too
    others_util_pct: NotNegative | None = None  # what of the device other processes used
    cpu_wait_frac: Fraction | None = None  # of the time, some process waited for a core (/proc/pressure/cpu)


class Metering(FrozenModel):
    """What this start of the daemon measures with, and what it found before its first trial."""

    method: Method
    scope: Scope | None
    about: str  # the sensor, in words
    refused: tuple[str, ...] = ()  # better sources, and why they are not it
    idle: Power | None = None  # before anything of this run was on the device
    shared: bool | None = None
    price_per_kwh: NotNegative | None = None
    currency: str | None = None


def phase_from_progress(progress: str) -> Phase:
    """Return the phase of a trial's progress report; an unknown one belongs to the start."""
    return next((phase for phase in PHASES if phase == progress), "start")


def joined(first: Power, second: Power) -> Power:
    """Join two intervals. Raises ``ValueError`` for figures of different scope."""
    if first.scope != second.scope:
        raise ValueError(f"cannot add joules of scope {first.scope} and of scope {second.scope}")
    a, b = first.span_s * first.coverage, second.span_s * second.coverage
    span_s = first.span_s + second.span_s
    energy_j = _sum(first.energy_j, second.energy_j)
    return Power(
        method=first.method if first.method == second.method else "mixed",
        scope=first.scope,
        span_s=span_s,
        coverage=min(1.0, (a + b) / span_s) if span_s else 0.0,
        energy_j=energy_j,
        mean_w=energy_j / (a + b) if energy_j is not None and a + b > 0 else None,
        peak_w=_max(first.peak_w, second.peak_w),
        temp_c=_max(first.temp_c, second.temp_c),
        clock_mhz=_mean(first, second, "clock_mhz"),
        util_pct=_mean(first, second, "util_pct"),
        mem_used_bytes=max((m for m in (first.mem_used_bytes, second.mem_used_bytes) if m is not None), default=None),
        slowed_frac=_mean(first, second, "slowed_frac"),
        slowdowns=tuple(sorted({*first.slowdowns, *second.slowdowns})),
        shared=_either(first.shared, second.shared),
        others_util_pct=_mean(first, second, "others_util_pct"),
        cpu_wait_frac=_mean(first, second, "cpu_wait_frac"),
    )


def scope_of(power: Mapping[Phase, Power]) -> Scope | None:
    """Return the one scope of all joules in ``power``; ``None`` if there are none, or several scopes."""
    scopes = {p.scope for p in power.values() if p.energy_j is not None}
    return scopes.pop() if len(scopes) == 1 else None


def merge_phases(before: Mapping[Phase, Power], more: Mapping[Phase, Power]) -> dict[Phase, Power]:
    """Join phase by phase; of a phase whose scope changed, which cannot be added up, return the later."""
    both = {p: joined(before[p], m) if p in before and before[p].scope == m.scope else m for p, m in more.items()}
    return {**before, **both}


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None and b is None else (a or 0.0) + (b or 0.0)


def _max(a: float | None, b: float | None) -> float | None:
    return max((value for value in (a, b) if value is not None), default=None)


def _either(a: bool | None, b: bool | None) -> bool | None:
    return True if a or b else None if a is None or b is None else False


def _mean(first: Power, second: Power, name: str) -> float | None:
    """Return the mean weighted by duration, over the intervals that have a value."""
    known = [(max(p.span_s, MOMENT_S), getattr(p, name)) for p in (first, second) if getattr(p, name) is not None]
    weight = sum(span_s for span_s, _ in known)
    return float(sum(span_s * value for span_s, value in known) / weight) if known else None
