"""Researching or flailing? What variety and order of the proposals say, for a trajectory of any format. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from autoresearch.core.power import JOULES_PER_KWH
from autoresearch.core.text import plural
from autoresearch.core.values import FrozenModel, KnobValue
from autoresearch.report.format import NAME_CELLS, format_change, format_duration, format_percent, format_share
from autoresearch.report.history import History, Row, total
from autoresearch.report.random_orders import SHUFFLES, OrderPoint, ahead_of_random, order_band
from autoresearch.report.repeats import number_pairs
from rails import same_value

QUARTERS = 4
MIN_PROPOSALS = 8  # fewer show no habit
CHANCE = 0.05  # an order that is ahead of a smaller share of random orders, or behind, is not explained by chance
MOSTLY, PARTLY = 0.5, 0.2  # shares of proposals without anything new


class Window(FrozenModel):
    """The proposals of consecutive iterations: a quarter of the closed ones, or another part."""

    proposals: int
    repeats: int  # of a (knob, value) that any earlier iteration had proposed
    no_ops: int  # the baseline's own value
    stale: int  # either
    repeat_rate: float | None
    no_op_rate: float | None


class ResearchNumbers(FrozenModel):
    """How a run searched. ``None`` means unknown, or nothing to divide by."""

    coverage_frac: float | None  # knobs of the menu that were proposed at least once
    quarters: list[Window]
    stale: int  # proposals that repeat an earlier one or the baseline's own value
    stale_rate: float | None  # of all proposals
    mode_knob: str | None  # the pair that was proposed most often; of equal ones the first
    mode_value: KnobValue | None
    mode_share: float | None  # of all proposals
    first_keep_iter: int | None
    first_keep_s: float | None  # seconds of work from the start of iteration 1 to the end of that one; None: overlap
    best_keep_iter: int | None
    best_keep_s: float | None
    gain_frac_per_kwh: float | None  # gain of the best keep by the energy of the whole run
    measured: int  # candidates with a val_bpb
    could_keep: int  # of these, neither the baseline's own value nor one that was measured before
    could_keep_frac: float | None
    # Of random orders of the same measurements, in mean best-so-far; ties half. None where most combine changes.
    ahead_of_random_frac: float | None
    shuffles: int
    best_so_far: list[OrderPoint]  # beside the band of random orders; empty where ``ahead_of_random_frac`` is None
    verdict: str  # one sentence


class JudgedProposal(NamedTuple):
    """The proposal of a closed iteration; ``number`` is equal for equal pairs."""

    row: Row
    number: int
    is_repeat: bool
    is_no_op: bool


def research_numbers(history: History, best: Row | None, proposals: Sequence[JudgedProposal]) -> ResearchNumbers:
    """The numbers of a run; ``best`` is its best keep, ``proposals`` are those of ``judge_proposals``."""
    stale = sum(p.is_repeat or p.is_no_op for p in proposals)
    counts = Counter(p.number for p in proposals)
    most = max(counts.values(), default=0)
    mode = next((p.row for p in proposals if counts[p.number] == most), None)
    touched = {name for p in proposals for name in dict(p.row.several) or (p.row.knob,)} & set(history.knobs)
    first = next((row for row in history.rows if row.decision == "keep"), None)
    gains = _exchangeable_gains(history.rows)
    measured, could_keep = _count_could_keep(proposals)
    gain = best.improvement_frac if best else None
    numbers = ResearchNumbers(
        coverage_frac=len(touched) / len(history.knobs) if history.knobs else None,
        quarters=count_by_window(history.rows, proposals, QUARTERS),
        stale=stale,
        stale_rate=stale / len(proposals) if proposals else None,
        mode_knob=mode.knob if mode else None,
        mode_value=mode.new_value if mode else None,
        mode_share=most / len(proposals) if proposals else None,
        first_keep_iter=first.iter if first else None,
        first_keep_s=_seconds_until(history, first),
        best_keep_iter=best.iter if best else None,
        best_keep_s=_seconds_until(history, best),
        gain_frac_per_kwh=gain * JOULES_PER_KWH / history.energy_j if gain is not None and history.energy_j else None,
        measured=measured,
        could_keep=could_keep,
        could_keep_frac=could_keep / measured if measured else None,
        ahead_of_random_frac=ahead_of_random(gains),
        best_so_far=order_band(gains),
        shuffles=SHUFFLES,
        verdict="",
    )
    return numbers.model_copy(update={"verdict": _verdict(numbers, len(proposals), len(touched), len(history.knobs))})


def _exchangeable_gains(rows: Sequence[Row]) -> list[float]:
    """The gains in their order; none where most candidates combine changes.

    Such candidates are made of what earlier ones had shown: in another order they would not have been proposed.
    """
    measured = [row for row in rows if row.improvement_frac is not None]
    if 2 * sum(bool(row.several) for row in measured) > len(measured):
        return []
    return [row.improvement_frac for row in measured if row.improvement_frac is not None]


def judge_proposals(history: History) -> list[JudgedProposal]:
    """The proposals of closed iterations with a value, in their order."""
    rows = [row for row in history.rows if row.knob is not None and row.new_value is not None]
    numbers = number_pairs([(row.knob or "", row.new_value or 0) for row in rows])
    seen: set[int] = set()
    found = []
    for row, number in zip(rows, numbers, strict=True):
        own = history.baseline_cfg.get(row.knob or "")
        is_no_op = own == row.new_value or same_value(own, row.new_value)
        found.append(JudgedProposal(row, number, number in seen, is_no_op))
        seen.add(number)
    return found


def count_by_window(rows: Sequence[Row], proposals: Sequence[JudgedProposal], windows: int) -> list[Window]:
    """The proposals of as many equal parts of the run; empty for fewer iterations than parts."""
    if len(rows) < windows:
        return []
    window_of = {id(row): n * windows // len(rows) for n, row in enumerate(rows)}
    held: list[list[JudgedProposal]] = [[] for _ in range(windows)]
    for p in proposals:
        held[window_of[id(p.row)]].append(p)
    return [_window(mine) for mine in held]


def _window(proposals: Sequence[JudgedProposal]) -> Window:
    repeats, no_ops = sum(p.is_repeat for p in proposals), sum(p.is_no_op for p in proposals)
    return Window(
        proposals=len(proposals),
        repeats=repeats,
        no_ops=no_ops,
        stale=sum(p.is_repeat or p.is_no_op for p in proposals),
        repeat_rate=repeats / len(proposals) if proposals else None,
        no_op_rate=no_ops / len(proposals) if proposals else None,
    )


def _count_could_keep(proposals: Sequence[JudgedProposal]) -> tuple[int, int]:
    """The measured candidates, and those of them that no earlier measurement had settled."""
    known: set[int] = set()
    measured = could_keep = 0
    for p in proposals:
        if p.row.val_bpb is not None:
            measured += 1
            could_keep += p.number not in known and not p.is_no_op
            known.add(p.number)
    return measured, could_keep


def _seconds_until(history: History, last: Row | None) -> float | None:
    """The work up to and with the iteration ``last``; ``None`` if one of these times is unknown, or they overlap."""
    if last is None or history.parallel:
        return None
    until = [row.wall_s for row in history.rows if row.iter <= last.iter]
    return None if None in until else total(*until)


def _verdict(s: ResearchNumbers, proposals: int, touched: int, knobs: int) -> str:
    if proposals < MIN_PROPOSALS or s.stale_rate is None:
        return f"Too early to tell: {plural(proposals, 'proposal')}, {proposals - s.stale:,} of them new."
    habit = "Mostly repeating" if s.stale_rate >= MOSTLY else "Partly repeating" if s.stale_rate >= PARTLY else ""
    where = f"on {touched} of {knobs} knobs"
    if habit:
        stale = f"{s.stale:,} of {proposals:,} proposals ({format_share(s.stale_rate)})"
        most = format_change(s.mode_knob, s.mode_value, NAME_CELLS)
        text = (
            f"{habit}: {stale} repeated an earlier one or the baseline, {where}; "
            f"{most} alone is {format_share(s.mode_share or 0.0)}"
        )
    else:
        text = f"Mostly new: {proposals - s.stale:,} of {proposals:,} proposals were new, {where}"
    return f"{text}{_order(s)}."


def _order(s: ResearchNumbers) -> str:
    """When the gains were found, beside random orders of the same trials, and whether chance explains it."""
    ahead = s.ahead_of_random_frac
    if ahead is None:
        return "; no measured candidate became a keep" if s.measured and s.best_keep_iter is None else ""
    is_late = ahead < CHANCE
    share = 1 - ahead if is_late else ahead
    than = f"{'all' if share == 1 else format_share(share)} of {SHUFFLES:,} random orders of the same trials"
    chance = ", which chance explains" if CHANCE <= ahead <= 1 - CHANCE else ""
    return f"; it found its gains {'later' if is_late else 'sooner'} than {than}{chance}"


def research_lines(s: ResearchNumbers) -> list[str]:
    """The verdict, and the numbers beside it on one line."""
    parts = [*_rates("repeats", [q.repeat_rate for q in s.quarters]), *_rates("no-ops", _no_ops(s))]
    if s.could_keep_frac is not None and s.could_keep < s.measured:
        parts.append(f"{s.could_keep:,} of {plural(s.measured, 'measured candidate')} could have become a new keep")
    parts += describe_keep_times(s)
    if s.gain_frac_per_kwh:
        parts.append(f"gain per kWh {describe_gain_per_kwh(s.gain_frac_per_kwh)}")
    return [s.verdict, *(["; ".join(parts)] if parts else [])]


def _no_ops(s: ResearchNumbers) -> list[float | None]:
    return [q.no_op_rate for q in s.quarters] if any(q.no_ops for q in s.quarters) else []


def _rates(name: str, rates: Sequence[float | None]) -> list[str]:
    if all(rate is None for rate in rates):
        return []
    shares = ", ".join("none" if rate is None else format_share(rate) for rate in rates)
    return [f"{name} by quarter of the run {shares}"]


def describe_keep_times(s: ResearchNumbers) -> list[str]:
    """When the first and the best keep were found, in iterations and work; empty without a keep."""
    if s.first_keep_iter is None or s.best_keep_iter is None:
        return []
    best = describe_keep_time(s.best_keep_iter, s.best_keep_s)
    if s.first_keep_iter == s.best_keep_iter:
        return [f"first and best keep in {best}"]
    return [f"first keep in {describe_keep_time(s.first_keep_iter, s.first_keep_s)}", f"best in {best}"]


def describe_keep_time(iteration: int, seconds: float | None) -> str:
    """``iteration 2, 2 min 16 s of work after the baseline``."""
    after = f", {format_duration(seconds)} of work after the baseline" if seconds is not None else ""
    return f"iteration {iteration:,}{after}"


def describe_gain_per_kwh(gain_frac_per_kwh: float) -> str:
    """``+2.41% (0.0041 kWh for each 1%)``: the best gain by the energy of the whole run."""
    return f"{format_percent(gain_frac_per_kwh)} ({0.01 / gain_frac_per_kwh:.2g} kWh for each 1%)"
