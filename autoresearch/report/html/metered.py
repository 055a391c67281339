"""What the sensors saw of a run, scope by scope: its phases as shares, and how far the figure can be trusted. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autoresearch.core.power import JOULES_PER_KWH
from autoresearch.report.energy import METHODS, SCOPES, SHARED, EnergyNumbers
from autoresearch.report.format import format_duration, format_share
from autoresearch.report.html.price import Price
from autoresearch.report.html.share import Share, shares
from autoresearch.report.html.text import format_kwh

PHASES: Mapping[str, str] = {
    "start": "starting trials",
    "train": "training",
    "validate": "validation",
    "propose": "proposer",
    "paused": "paused",
    "idle": "idle",
}


@dataclass(frozen=True, slots=True)
class Metered:
    """One scope. Two of them are never added: the machine's joules have the GPU's in them."""

    scope: str
    total: str
    about: str
    phases: tuple[Share, ...]


def metered(numbers: list[EnergyNumbers], price: Price | None) -> tuple[Metered, ...]:
    """One entry per scope of which any joule is known, in the summary's order."""
    return tuple(_one(e, e.energy_kwh, price) for e in numbers if e.energy_kwh is not None)


def _one(e: EnergyNumbers, energy_kwh: float, price: Price | None) -> Metered:
    known = {PHASES.get(name, name): power.energy_j for name, power in e.phases.items()}
    phases = shares({name: (joules, format_kwh((joules or 0.0) / JOULES_PER_KWH)) for name, joules in known.items()})
    total = f"{format_kwh(energy_kwh)}, {price.of(energy_kwh)}" if price else format_kwh(energy_kwh)
    return Metered(SCOPES[e.scope], total, "; ".join(_about(e)), phases)


def _about(e: EnergyNumbers) -> Iterator[str]:
    yield f"by {METHODS.get(e.method, e.method)}, {format_share(e.coverage)} of {format_duration(e.span_s)} metered"
    if e.mean_w is not None:
        yield f"{e.mean_w:.1f} W on average" + (f", at most {e.peak_w:.1f} W" if e.peak_w is not None else "")
    if e.idle_w is not None:
        yield f"{e.idle_w:.1f} W before the first trial"
    if e.shared:
        yield SHARED
