"""Researching or flailing? What variety and order of the proposals say, for a trajectory of any format. Pure."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch.core.power import JOULES_PER_KWH
from autoresearch.core.text import plural
from autoresearch.core.values import FrozenModel, KnobValue
from autoresearch.report.format import NAME_CELLS, format_change, format_percent, format_share
from autoresearch.report.history import History, Row, total
from autoresearch.report.repeats import number_pairs
from rails import same_value

QUARTERS = 4
SHUFFLES = 1000
SEED = 0  # of the shuffles: the same trajectory gives the same numbers
MIN_PROPOSALS = 8  # fewer show no habit
MIN_MEASURED = 5
MOSTLY, PARTLY = 0.5, 0.2  # shares of proposals without anything new


class Quarter(FrozenModel):
    """A quarter of the closed iterations, in their order."""

    proposals: int
    repeats: int  # of a (knob, value) that any earlier iteration had proposed
    no_ops: int  # the baseline's own value
    repeat_rate: float | None
    no_op_rate: float | None


class ResearchNumbers(FrozenModel):
    """How a run searched. ``None`` means unknown, or nothing to divide by."""

    coverage_frac: float | None  # knobs of the menu that were proposed at least once
    quarters: list[Quarter]
    stale: int  # proposals that repeat an earlier one or the baseline's own value
    stale_rate: float | None  # of all proposals
    mode_knob: str | None  # the pair that was proposed most often; of equal ones the first
    mode_value: KnobValue | None
    mode_share: float | None  # of all proposals
    first_keep_iter: int | None
    first_keep_s: float | None  # seconds of work from the start of iteration 1 to the end of that one
    best_keep_iter: int | None
    best_keep_s: float | None
    gain_frac_per_kwh: float | None  # gain of the best keep by the energy of the whole run
    measured: int  # candidates with a val_bpb
    could_keep: int  # of these, neither the baseline's own value nor one that was measured before
    could_keep_frac: float | None
    ahead_of_random_frac: float | None  # of random orders of the same measurements, in mean best-so-far; ties half
    shuffles: int
    verdict: str  # one sentence


@dataclass(frozen=True, slots=True)
class _Proposal:
    """The proposal of a closed iteration; ``number`` is equal for equal pairs."""

    row: Row
    number: int
    is_repeat: bool
    is_no_op: bool


def research_numbers(history: History, best: Row | None) -> ResearchNumbers:
    """The numbers of a run; ``best`` is its best keep."""
    proposals = _proposals(history)
    stale = sum(p.is_repeat or p.is_no_op for p in proposals)
    counts = Counter(p.number for p in proposals)
    most = max(counts.values(), default=0)
    mode = next((p.row for p in proposals if counts[p.number] == most), None)
    touched = {p.row.knob for p in proposals} & set(history.knobs)
    first = next((row for row in history.rows if row.decision == "keep"), None)
    gains = [row.improvement_frac for row in history.rows if row.improvement_frac is not None]
    measured, could_keep = _count_could_keep(proposals)
    gain = best.improvement_frac if best else None
    numbers = ResearchNumbers(
        coverage_frac=len(touched) / len(history.knobs) if history.knobs else None,
        quarters=_quarters(history.rows, proposals),
        stale=stale,
        stale_rate=stale / len(proposals) if proposals else None,
        mode_knob=mode.knob if mode else None,
        mode_value=mode.new_value if mode else None,
        mode_share=most / len(proposals) if proposals else None,
        first_keep_iter=first.iter if first else None,
        first_keep_s=_seconds_until(history.rows, first),
        best_keep_iter=best.iter if best else None,
        best_keep_s=_seconds_until(history.rows, best),
        gain_frac_per_kwh=gain * JOULES_PER_KWH / history.energy_j if gain is not None and history.energy_j else None,
        measured=measured,
        could_keep=could_keep,
        could_keep_frac=could_keep / measured if measured else None,
        ahead_of_random_frac=ahead_of_random(gains),
        shuffles=SHUFFLES,
        verdict="",
    )
    return numbers.model_copy(update={"verdict": _verdict(numbers, len(proposals), len(touched), len(history.knobs))})


def ahead_of_random(gains: Sequence[float]) -> float | None:
    """The share of random orders of ``gains`` that this order is ahead of, in its mean best-so-far; ties count half.

    The best so far is at least 0, the baseline's. A run that improves as it learns finds its best late, and is behind:
    this compares when the best was found, not how good the candidates are. ``None`` for fewer than five gains, or if
    none is above 0.
    """
    n = len(gains)
    if n < MIN_MEASURED or max(gains) <= 0:
        return None
    ranked = sorted((max(0.0, gain) for gain in gains), reverse=True)
    best_so_far: list[float] = [0.0]
    for gain in gains:
        best_so_far.append(max(best_so_far[-1], gain))
    own = math.fsum(best_so_far)
    rng = random.Random(SEED)
    sums = [_random_order(ranked, rng) for _ in range(SHUFFLES)]
    equal = 1e-9 * max(own, ranked[0])
    below = sum(s < own - equal for s in sums)
    return (below + (sum(s <= own + equal for s in sums) - below) / 2) / SHUFFLES


def _random_order(ranked: Sequence[float], rng: random.Random) -> float:
    """The sum of the best-so-far over one random order of ``ranked`` (descending), from its last record to its first.

    The best of the first m of an order stands at a uniform place among them, and what comes before it is a uniform
    subset of the worse ones, whose best has a rank with a known distribution: a few draws instead of a shuffle.
    """
    n, end, rank = len(ranked), len(ranked), 0
    found = 0.0
    while end > 0 and ranked[rank] > 0:
        at = rng.randrange(end)
        found += ranked[rank] * (end - at)
        end = at
        if end:
            rank += 1 + _skipped(n - rank - 1, end, rng.random())
    return found


def _skipped(worse: int, chosen: int, u: float) -> int:
    """How many of ``worse`` ranked items precede the best of a uniform subset of ``chosen`` of them, by inversion.

    P(at least j) = C(worse - j, chosen) / C(worse, chosen).
    """
    low, high = 0, worse - chosen
    whole = _log_choose(worse, chosen)
    while low < high:  # the largest j with P(at least j) >= u
        middle = (low + high + 1) // 2
        if math.exp(_log_choose(worse - middle, chosen) - whole) >= u:
            low = middle
        else:
            high = middle - 1
    return low


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _proposals(history: History) -> list[_Proposal]:
    rows = [row for row in history.rows if row.knob is not None and row.new_value is not None]
    numbers = number_pairs([(row.knob or "", row.new_value or 0) for row in rows])
    seen: set[int] = set()
    found = []
    for row, number in zip(rows, numbers, strict=True):
        own = history.baseline_cfg.get(row.knob or "")
        is_no_op = own is not None and row.new_value is not None and same_value(own, row.new_value)
        found.append(_Proposal(row, number, number in seen, is_no_op))
        seen.add(number)
    return found


def _quarters(rows: Sequence[Row], proposals: Sequence[_Proposal]) -> list[Quarter]:
    """Empty for fewer than four iterations."""
    if len(rows) < QUARTERS:
        return []
    quarter_of = {id(row): n * QUARTERS // len(rows) for n, row in enumerate(rows)}
    found = []
    for q in range(QUARTERS):
        mine = [p for p in proposals if quarter_of[id(p.row)] == q]
        repeats, no_ops = sum(p.is_repeat for p in mine), sum(p.is_no_op for p in mine)
        found.append(
            Quarter(
                proposals=len(mine),
                repeats=repeats,
                no_ops=no_ops,
                repeat_rate=repeats / len(mine) if mine else None,
                no_op_rate=no_ops / len(mine) if mine else None,
            )
        )
    return found


def _count_could_keep(proposals: Sequence[_Proposal]) -> tuple[int, int]:
    """The measured candidates, and those of them that no earlier measurement had settled."""
    known: set[int] = set()
    measured = could_keep = 0
    for p in proposals:
        if p.row.val_bpb is not None:
            measured += 1
            could_keep += p.number not in known and not p.is_no_op
            known.add(p.number)
    return measured, could_keep


def _seconds_until(rows: Sequence[Row], last: Row | None) -> float | None:
    """The work up to and with the iteration ``last``; ``None`` if the time of one of these is unknown."""
    if last is None:
        return None
    until = [row.wall_s for row in rows if row.iter <= last.iter]
    return None if None in until else total(*until)


def _verdict(s: ResearchNumbers, proposals: int, touched: int, knobs: int) -> str:
    if proposals < MIN_PROPOSALS or s.stale_rate is None:
        return f"Too early to tell: {plural(proposals, 'proposal')}, {proposals - s.stale} of them new."
    habit = "Mostly repeating" if s.stale_rate >= MOSTLY else "Partly repeating" if s.stale_rate >= PARTLY else ""
    where = f"on {touched} of {knobs} knobs"
    if habit:
        stale = f"{s.stale} of {proposals} proposals ({format_share(s.stale_rate)})"
        most = format_change(s.mode_knob, s.mode_value, NAME_CELLS)
        text = (
            f"{habit}: {stale} repeated an earlier one or the baseline, {where}; "
            f"{most} alone is {format_share(s.mode_share or 0.0)}"
        )
    else:
        text = f"Mostly new: {proposals - s.stale} of {proposals} proposals were new, {where}"
    return f"{text}{_order(s)}."


def _order(s: ResearchNumbers) -> str:
    """What the order of the measurements adds, and whether chance explains it."""
    if s.ahead_of_random_frac is None:
        return "; no measured candidate became a keep" if s.measured and s.best_keep_iter is None else ""
    share = f"{format_share(s.ahead_of_random_frac)} of {SHUFFLES:,} random orders of the same trials"
    chance = 0.05 < s.ahead_of_random_frac < 0.95
    return f"; its best-so-far is ahead of {share}" + (", which chance explains" if chance else "")


def research_lines(s: ResearchNumbers) -> list[str]:
    """The verdict, and the numbers beside it on one line."""
    parts = []
    if any(q.proposals for q in s.quarters):
        rates = ", ".join("none" if q.repeat_rate is None else format_share(q.repeat_rate) for q in s.quarters)
        parts.append(f"repeats by quarter of the run {rates}")
    if s.could_keep_frac is not None and s.could_keep < s.measured:
        parts.append(f"{s.could_keep} of {plural(s.measured, 'measured candidate')} could have become a new keep")
    if s.first_keep_iter is not None and s.best_keep_iter is not None:
        parts.append(f"first keep in iteration {s.first_keep_iter}, best in {s.best_keep_iter}")
    if s.gain_frac_per_kwh is not None:
        parts.append(f"{format_percent(s.gain_frac_per_kwh)} gain per kWh")
    return [s.verdict, *(["; ".join(parts)] if parts else [])]
