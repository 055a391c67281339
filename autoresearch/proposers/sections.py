"""The sections of the prompt that tell what a run knows, each at a chosen level of detail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autoresearch.proposers.belief import Belief
from autoresearch.proposers.results import (
    NO_KNOB,
    Failures,
    KnobResults,
    Refusals,
    Results,
    Tested,
    value_order,
)
from autoresearch.proposers.wording import counted, one_line, percent, quoted, times, value_text
from rails import ChoiceKnob, FloatKnob, Knob, Value

DOC_CHARS = 160


@dataclass(frozen=True, slots=True)
class Detail:
    """How much is told. What is not told one by one is summarised: the counts add up at every level."""

    values: int  # of each knob, told one by one: half of them the best, half the newest
    ranges: int  # into which the other values of a knob are summarised
    chars: int  # of a quoted reason; 0 for none
    docs: bool  # what each knob means
    by_knob: bool  # failures and refusals knob by knob; else only how many of each kind


def details(most_values: int) -> list[Detail]:
    """Every level, the coarsest first; the last tells ``most_values`` values of each knob, which is all of them."""
    levels = [Detail(0, 1, 0, docs=False, by_knob=False), Detail(0, 1, 0, docs=False, by_knob=True)]
    values = 1
    while True:
        few = values < 4
        levels.append(Detail(values, 1 if few else min(8, values // 2), 40 if few else 100, not few, by_knob=True))
        if values >= most_values:
            return levels
        values += max(1, values // 4)


def knob_line(knob: Knob, baseline: Value, detail: Detail) -> str:
    """A knob of the menu: what it takes, where the baseline stands, what it means."""
    if isinstance(knob, ChoiceKnob):
        kind = "one of " + ", ".join(value_text(c) for c in knob.choices)
    else:
        noun = "number" if isinstance(knob, FloatKnob) else "whole number"
        scale = ", log scale" if isinstance(knob, FloatKnob) and knob.log else ""
        kind = f"{noun} {value_text(knob.low)} to {value_text(knob.high)}{scale}"
    doc = f". {one_line(knob.doc, DOC_CHARS)}" if detail.docs and knob.doc else ""
    return f"- {knob.name}: {kind}; baseline {value_text(baseline)}{doc}"


def measured_lines(results: Results, detail: Detail) -> str:
    """Every value measured, or what the values of a range have in common."""
    lines = [f"- {name}, {_of_knob(knob, detail)}" for name, knob in results.measured.items()]
    return "\n".join(lines) or "Nothing yet."


def _of_knob(knob: KnobResults, detail: Detail) -> str:
    told, rest = _told_and_rest(knob, detail.values)
    groups = _chunks(rest, detail.ranges)
    told = sorted([*told, *(g[0] for g in groups if len(g) == 1)], key=lambda one: value_order(one.value))
    entries = [_entry(one) for one in told] + [_range(group) for group in groups if len(group) > 1]
    return f"{counted(knob.results, 'result')}{_kept(knob.keeps)}: {'; '.join(entries)}"


def _told_and_rest(knob: KnobResults, values: int) -> tuple[list[Tested], list[Tested]]:
    """Half of ``values`` are the best, the others the newest among the rest."""
    places = set(knob.best_first[: (values + 1) // 2])
    for place in knob.newest_first:
        if len(places) >= values:
            break
        places.add(place)
    rest = [one for place, one in enumerate(knob.tested) if place not in places]
    return [knob.tested[place] for place in places], rest


def _entry(one: Tested) -> str:
    often = f" x{one.results}" if one.results > 1 else ""
    return f"{value_text(one.value)} {percent(one.mean_effect)}{often}{' kept' if one.keeps else ''}"


def _range(group: Sequence[Tested]) -> str:
    """Several values in one: how many results, from where to where, what came of them."""
    results = sum(one.results for one in group)
    mean = sum(one.total_effect for one in group) / results
    best = max(group, key=lambda one: one.best_effect)
    ends = f"{value_text(group[0].value)} to {value_text(group[-1].value)}"
    peak = f"{percent(best.best_effect)} at {value_text(best.value)}"
    return f"{results} in {ends} mean {percent(mean)} best {peak}{_kept(sum(one.keeps for one in group))}"


def _kept(keeps: int) -> str:
    return f", {keeps} kept" if keeps else ""


def _chunks(row: Sequence[Tested], most: int) -> list[Sequence[Tested]]:
    """``row`` cut into at most ``most`` neighbouring parts of about equal length."""
    size = -(-len(row) // most)
    return [row[i : i + size] for i in range(0, len(row), size)] if row else []


def failed_lines(results: Results, detail: Detail) -> str:
    """What could not be measured, and why."""
    if not detail.by_knob:
        counts = [(str(cause), failures.count) for (_, cause), failures in results.failures.items()]
        return _totals(counts) or "Nothing."
    lines = [f"- {knob}: {cause} {_failures(f, detail)}" for (knob, cause), f in results.failures.items()]
    return "\n".join(lines) or "Nothing."


def _failures(failures: Failures, detail: Detail) -> str:
    values = failures.values
    if len(values) <= max(1, detail.values):
        where = ", ".join(map(value_text, values))
    else:
        where = f"{value_text(values[0])} to {value_text(values[-1])}"
    return f"{times(failures.count)} at {where}{_latest(failures.detail, detail)}"


def refused_lines(results: Results, detail: Detail) -> str:
    """Which rail refused what, how often, and its latest words."""
    if not detail.by_knob:
        return _totals((str(rail), one.count) for (_, rail), one in results.refusals.items()) or "Nothing."
    lines = [f"- {_subject(knob)}: {rail} {_refusals(r, detail)}" for (knob, rail), r in results.refusals.items()]
    return "\n".join(lines) or "Nothing."


def _refusals(refusals: Refusals, detail: Detail) -> str:
    return f"{times(refusals.count)}{_latest(refusals.reason, detail)}"


def _subject(knob: str) -> str:
    return "no knob of the menu" if knob == NO_KNOB else knob


def _latest(text: str, detail: Detail) -> str:
    return f"; {quoted(text, detail.chars)}" if detail.chars and text else ""


def _totals(counts: Iterable[tuple[str, int]]) -> str:
    """How many of each kind, over all knobs."""
    sums: dict[str, int] = {}
    for kind, count in counts:
        sums[kind] = sums.get(kind, 0) + count
    return "; ".join(f"{kind} {times(count)}" for kind, count in sums.items())


def belief_lines(beliefs: Sequence[Belief]) -> str:
    """What the optimizer would try next, the knobs it draws most first."""
    drawn = sorted((b for b in beliefs if b.share > 0), key=lambda b: -b.share)
    idle = [b.knob for b in beliefs if b.share == 0]
    lines = [_belief(b) for b in drawn]
    return "\n".join([*lines, *([f"- not drawn: {', '.join(idle)}"] if idle else [])])


def _belief(belief: Belief) -> str:
    ends = [value_text(v) for v in (belief.low, belief.guess, belief.high) if v is not None]
    where = f", around {ends[1]} ({ends[0]} to {ends[2]})" if len(ends) == 3 else ""
    note = f"; uncertain: {one_line(belief.note, 80)}" if belief.note else ""
    return f"- {belief.knob}: {100 * belief.share:.0f}% of its draws{where}, {counted(belief.results, 'result')}{note}"
