"""The energy and cost of a run, with scope, method and coverage beside every figure. Pure.

Figures of different scope (a GPU's board, the whole machine) stand beside each other and are never added. Time that was
not metered is in none of them: nothing is scaled up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce

from autoresearch.core.power import JOULES_PER_KWH, Metering, Phase, Power, Scope, joined
from autoresearch.core.text import plural
from autoresearch.core.values import FrozenModel
from autoresearch.report.format import NAME_CELLS, format_cost, format_duration, format_share, safe

CURRENCY_CELLS = 8
SCOPES: Mapping[Scope, str] = {"system": "the whole system", "gpu": "the GPU's board", "package": "the CPU's package"}
METHODS = {
    "hwmon": "the system's own sensor",
    "nvml_energy": "NVML's energy counter",
    "nvml_power": "NVML's power, integrated",
    "nvidia_smi": "nvidia-smi's power, integrated",
    "rapl": "RAPL",
    "mixed": "several sensors",
}
SHARED = "another process, for example an LLM server, used the same device: its joules are included"


class EnergyNumbers(FrozenModel):
    """What was metered in one scope, over all starts. ``None`` means unknown."""

    scope: Scope
    method: str
    span_s: float  # during which a sensor of this scope was read
    coverage: float  # the share of span_s that energy_kwh and mean_w cover
    energy_kwh: float | None
    cost: float | None  # energy_kwh at the price of the last start; the currency stands beside it
    mean_w: float | None
    peak_w: float | None
    idle_w: float | None  # before the first trial of the last start, where it was metered in this scope
    shared: bool | None  # another process, for example an LLM server, used the device: its joules are included
    phases: dict[Phase, Power]


def energy_numbers(power: Mapping[Scope, Mapping[Phase, Power]], metering: Metering | None) -> list[EnergyNumbers]:
    """One entry per scope, the longest metered first; the price and the idle power are those of the last start."""
    found = [_of_scope(scope, phases, metering) for scope, phases in power.items() if phases]
    return sorted(found, key=lambda e: e.span_s * e.coverage, reverse=True)


def _of_scope(scope: Scope, phases: Mapping[Phase, Power], metering: Metering | None) -> EnergyNumbers:
    whole = reduce(joined, phases.values())
    price = metering.price_per_kwh if metering else None
    idle = metering.idle if metering and metering.scope == scope else None
    kwh = None if whole.energy_j is None else whole.energy_j / JOULES_PER_KWH
    return EnergyNumbers(
        scope=scope,
        method=whole.method,
        span_s=whole.span_s,
        coverage=whole.coverage,
        energy_kwh=kwh,
        cost=None if kwh is None or price is None else kwh * price,
        mean_w=whole.mean_w,
        peak_w=whole.peak_w,
        idle_w=idle.mean_w if idle else None,
        shared=whole.shared,
        phases=dict(phases),
    )


def energy_lines(numbers: Sequence[EnergyNumbers], currency: str | None) -> Iterator[str]:
    """The energy as lines of text; none for a scope without a single reading."""
    for e in numbers:
        if e.energy_kwh is None:
            continue
        money = f", {_money(e.cost, currency)}" if e.cost is not None else ""
        known = f"{format_share(e.coverage)} of {format_duration(e.span_s)} metered"
        yield f"{e.energy_kwh:.4f} kWh{money}: {SCOPES[e.scope]}, by {METHODS[e.method]}, {known}"
        yield ", ".join(_phase(phase, power) for phase, power in e.phases.items() if power.energy_j is not None)
        if e.mean_w is not None:
            peak = f", at most {e.peak_w:.1f} W" if e.peak_w is not None else ""
            idle = f", {e.idle_w:.1f} W before the first trial" if e.idle_w is not None else ""
            yield f"{e.mean_w:.1f} W on average{peak}{idle}"
        if e.shared:
            yield SHARED


def device_lines(device_j: Mapping[str, float]) -> Iterator[str]:
    """The joules of the trials on each device; none where they share a meter."""
    if device_j:
        yield "trials by device: " + ", ".join(f"{safe(name, NAME_CELLS)} {j:,.0f} J" for name, j in device_j.items())


def marks_line(marks: Mapping[str, int], voided: int) -> str:
    """How many trials were marked, because a disturbance may have worsened their result; empty if none was."""
    if not marks:
        return ""
    again = f"; {plural(voided, 'trial')} discarded and run again" if voided else ""
    return ", ".join(f"{n} {mark}" for mark, n in sorted(marks.items())) + f" (marked ! below){again}"


def _phase(phase: Phase, power: Power) -> str:
    watts = f" at {power.mean_w:.1f} W" if power.mean_w is not None else ""
    return f"{phase} {power.energy_j:,.0f} J{watts}"


def _money(cost: float, currency: str | None) -> str:
    unit = safe(currency, CURRENCY_CELLS) if currency else "(no currency is set)"
    return f"{format_cost(cost)} {unit}"
