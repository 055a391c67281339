"""Time and energy by activity and by outcome, and the cost of an improvement. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autoresearch.core.power import JOULES_PER_KWH
from autoresearch.core.text import plural
from autoresearch.report.early_stops import describe_early_stops
from autoresearch.report.format import format_duration, format_gib
from autoresearch.report.history import History, Row, total
from autoresearch.report.html.price import Price
from autoresearch.report.html.scope_energy import ScopeEnergy, build_scope_energy
from autoresearch.report.html.share import Share, build_shares
from autoresearch.report.html.text import format_kwh
from autoresearch.report.summary import Summary, time_by_activity

OUTCOMES: Mapping[str, Callable[[Row], bool]] = {
    "keeps": lambda row: row.decision == "keep",
    "reverts": lambda row: row.decision == "revert",
    "failures": lambda row: row.stage in ("eval_failed", "proposer_failed"),
    "blocked": lambda row: row.stage == "blocked",
}


SEQUENTIAL_NAMES = {"keeps": "confirmed", "reverts": "not confirmed"}  # by rule sequential


@dataclass(frozen=True, slots=True)
class Spending:
    """Bars of shares, each empty if nothing is known, and facts as label and text."""

    by_activity: tuple[Share, ...]
    by_outcome: tuple[Share, ...]
    energy: tuple[Share, ...]  # of the trials alone
    metered: tuple[ScopeEnergy, ...]  # of the whole run, one per scope
    facts: tuple[tuple[str, str], ...]


def build_spending(s: Summary, history: History, price: Price | None = None) -> Spending:
    """All the time and energy in the log."""
    if price is None and s.price_per_kwh is not None:
        price = Price(s.price_per_kwh, s.currency or "")
    rows = history.rows
    names = SEQUENTIAL_NAMES if history.is_sequential else {}
    times = {name: total(*(r.wall_s for r in rows if has_outcome(r))) for name, has_outcome in OUTCOMES.items()}
    joules = {name: total(*(r.energy_j for r in rows if has_outcome(r))) for name, has_outcome in OUTCOMES.items()}
    if history.baseline:
        times["baseline"] = history.baseline.wall_s
        joules["baseline"] = history.baseline.energy_j
    if history.energy_j is None:  # not metered, or by sensors of different scope, which are not added
        joules = {}
    else:
        rest = history.energy_j - (total(*joules.values()) or 0.0)
        joules["unfinished"] = rest if rest > 1e-6 * history.energy_j else None
    return Spending(
        by_activity=build_shares(
            {name: (value, format_duration(value)) for name, value in time_by_activity(s).items()}
        ),
        by_outcome=build_shares({names.get(name, name): (v, format_duration(v)) for name, v in times.items()}),
        energy=build_shares(
            {names.get(name, name): (v, format_kwh((v or 0.0) / JOULES_PER_KWH)) for name, v in joules.items()}
        ),
        metered=build_scope_energy(s.energy, price),
        facts=(*_times(s, rows), *_early_stops(s), *_energy(s, price), *_marked_trials(s)),
    )


def _times(s: Summary, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    measured = sorted(r.wall_s for r in rows if r.stage == "evaluated" and r.wall_s is not None)
    if measured:
        yield "a measured iteration", f"{format_duration(measured[len(measured) // 2])} (median)"
    if s.overhead_median_s is not None:
        yield "overhead per iteration", f"{format_duration(s.overhead_median_s)} (median)"
    if s.wall_s is not None and s.keeps:
        yield "time per keep", format_duration(s.wall_s / s.keeps)
    if s.tokens is not None:
        yield "trained on", f"{s.tokens:,} tokens"
    if s.peak_bytes is not None:
        yield "largest trial", format_gib(s.peak_bytes)


def _energy(s: Summary, price: Price | None) -> Iterator[tuple[str, str]]:
    if s.energy_kwh is None:
        return  # the page shows "Not measured." instead of the bar

    def with_cost(amount: float) -> str:
        return f"{format_kwh(amount)}, {price.of(amount)}" if price else format_kwh(amount)

    yield "energy of the trials", with_cost(s.energy_kwh)
    if s.keeps:
        yield "energy per keep", with_cost(s.energy_kwh / s.keeps)
    if s.best_improvement_frac:
        yield "energy per 1% gained", with_cost(s.energy_kwh / (100 * s.best_improvement_frac))


def _early_stops(s: Summary) -> Iterator[tuple[str, str]]:
    if s.early_stops:
        yield "early stops", describe_early_stops(s.early_stops)


def _marked_trials(s: Summary) -> Iterator[tuple[str, str]]:
    """The trials that were marked, because a disturbance may have worsened their result."""
    if s.marks:
        yield "marked trials", ", ".join(f"{n:,} {mark}" for mark, n in s.marks.items())
    if s.voided:
        yield "discarded and run again", plural(s.voided, "trial")
    if s.deadline_extended_s:
        count = plural(len(s.deadline_extended_iters), "iteration")
        yield "deadlines extended", f"by {format_duration(s.deadline_extended_s)}, in {count} with a slowed trial"
