"""The measured energy of a run by scope: its phases as shares, with method and coverage. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autoresearch.core.power import JOULES_PER_KWH
from autoresearch.report.energy import METHODS, SCOPES, SHARED, EnergyNumbers
from autoresearch.report.format import format_duration, format_share
from autoresearch.report.html.price import Price
from autoresearch.report.html.share import Share, build_shares
from autoresearch.report.html.text import format_kwh

PHASE_LABELS: Mapping[str, str] = {
    "start": "starting trials",
    "train": "training",
    "validate": "validation",
    "propose": "proposer",
    "paused": "paused",
    "idle": "idle",
}


@dataclass(frozen=True, slots=True)
class ScopeEnergy:
    """One scope. Scopes are never added: the joules of the machine include those of the GPU."""

    scope: str
    total: str
    about: str
    phases: tuple[Share, ...]


def build_scope_energy(numbers: list[EnergyNumbers], price: Price | None) -> tuple[ScopeEnergy, ...]:
    """One entry per scope with known joules, in the summary's order."""
    return tuple(_of_scope(e, e.energy_kwh, price) for e in numbers if e.energy_kwh is not None)


def _of_scope(e: EnergyNumbers, energy_kwh: float, price: Price | None) -> ScopeEnergy:
    known = {PHASE_LABELS.get(name, name): power.energy_j for name, power in e.phases.items()}
    phases = build_shares(
        {name: (joules, format_kwh((joules or 0.0) / JOULES_PER_KWH)) for name, joules in known.items()}
    )
    total = f"{format_kwh(energy_kwh)}, {price.of(energy_kwh)}" if price else format_kwh(energy_kwh)
    return ScopeEnergy(SCOPES[e.scope], total, "; ".join(_details(e)), phases)


def _details(e: EnergyNumbers) -> Iterator[str]:
    yield f"by {METHODS.get(e.method, e.method)}, {format_share(e.coverage)} of {format_duration(e.span_s)} metered"
    if e.mean_w is not None:
        yield f"{e.mean_w:.1f} W on average" + (f", at most {e.peak_w:.1f} W" if e.peak_w is not None else "")
    if e.idle_w is not None:
        yield f"{e.idle_w:.1f} W before the first trial"
    if e.shared:
        yield SHARED
