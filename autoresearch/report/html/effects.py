"""The effect of each value of each knob on val_bpb, against the fixed baseline, with its spread. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from autoresearch.core.values import KnobValue
from autoresearch.report.history import History, Row
from autoresearch.report.html.domain import KnobDomain, build_domains
from autoresearch.report.html.text import format_value
from autoresearch.report.importance import seeds_of

MAX_SEPARATE_VALUES = 10  # of a range; with more its values are grouped into parts
MIN_FOR_QUARTILES = 4


@dataclass(frozen=True, slots=True)
class Group:
    """The measurements of one value, or of one part of a range. Gains are fractions of the baseline's val_bpb."""

    label: str
    at: float | str  # its position on the knob's axis
    count: int
    seeds: int  # of all measurements together
    keeps: int
    median: float  # of the gains, each counted once per seed; the quartiles too
    low: float
    high: float
    first: float | None  # quartiles; None for too few measurements
    third: float | None


@dataclass(frozen=True, slots=True)
class Effect:
    """One knob: its groups in the order of their values, and the best single result."""

    domain: KnobDomain
    groups: tuple[Group, ...]
    measured: int
    seeds: int  # of all measurements together
    keeps: int
    best_gain: float
    best_value: KnobValue
    best_seeds: int  # that the best gain is the mean of


def build_effects(history: History) -> tuple[Effect, ...]:
    """The effects of the knobs that were measured, the best result first."""
    found = [
        effect for domain in build_domains(history) if (effect := _effect(domain, _measured(history, domain.knob)))
    ]
    return tuple(sorted(found, key=lambda e: -e.best_gain))


def _measured(history: History, knob: str) -> list[Row]:
    return [r for r in history.rows if r.knob == knob and r.improvement_frac is not None and r.new_value is not None]


def _effect(domain: KnobDomain, rows: Sequence[Row]) -> Effect | None:
    if not rows:
        return None
    best = max(rows, key=lambda r: (r.improvement_frac or 0.0, -r.iter))
    if best.improvement_frac is None or best.new_value is None:
        return None
    keeps = sum(r.decision == "keep" for r in rows)
    return Effect(
        domain=domain,
        groups=tuple(_groups(domain, rows)),
        measured=len(rows),
        seeds=sum(map(seeds_of, rows)),
        keeps=keeps,
        best_gain=best.improvement_frac,
        best_value=best.new_value,
        best_seeds=seeds_of(best),
    )


def _groups(domain: KnobDomain, rows: Sequence[Row]) -> list[Group]:
    held: dict[str | float, list[Row]] = {}
    in_parts = not domain.factors and len({r.new_value for r in rows}) > MAX_SEPARATE_VALUES
    for row in rows:
        if (key := _key(domain, row, in_parts)) is not None:
            held.setdefault(key, []).append(row)
    order = {name: n for n, name in enumerate(domain.factors)}
    keys = sorted(held, key=lambda key: order.get(key, 0) if isinstance(key, str) else key)
    return [_group(domain, key, held[key]) for key in keys]


def _key(domain: KnobDomain, row: Row, in_parts: bool) -> str | float | None:
    value = row.new_value
    if value is None:
        return None
    if domain.factors:
        return format_value(value) if format_value(value) in domain.factors else None
    if in_parts:
        return domain.part_of(value)
    return None if isinstance(value, str) else float(value)


def _group(domain: KnobDomain, key: str | float, rows: Sequence[Row]) -> Group:
    gains = sorted(g for r in rows if r.improvement_frac is not None for g in [r.improvement_frac] * seeds_of(r))
    first, _, third = quantiles(gains, n=4, method="inclusive") if len(rows) >= MIN_FOR_QUARTILES else (None, 0, None)
    label, at = _axis_position(key, [r.new_value for r in rows if isinstance(r.new_value, int | float)])
    keeps = sum(r.decision == "keep" for r in rows)
    return Group(label, at, len(rows), len(gains), keeps, median(gains), gains[0], gains[-1], first, third)


def _axis_position(key: str | float, values: Sequence[float]) -> tuple[str, float | str]:
    """The label of a group and its position on the axis, the median of its values."""
    if isinstance(key, str):
        return key, key
    low, high = min(values), max(values)
    label = format_value(low) if low == high else f"{low:.3g} to {high:.3g}"
    return label, float(median(values))
