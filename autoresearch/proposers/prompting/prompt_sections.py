"""The sections of the prompt with the results of the run, each at a chosen level of detail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from autoresearch.core.text import plural
from autoresearch.proposers.belief import Belief
from autoresearch.proposers.prompting.open_values import allowed_choices, allowed_range
from autoresearch.proposers.prompting.prompt_format import format_times, one_line, percent, quoted, value_text
from autoresearch.proposers.prompting.prompt_history import NO_KNOB, Failures, KnobResults, Refusals, Results
from autoresearch.proposers.space import Space
from rails import ChoiceKnob, FloatKnob, Knob

DOC_CHARS = 160


@dataclass(frozen=True, slots=True)
class Detail:
    """How much is listed. What is not listed one by one is summarised: the counts add up at every level."""

    values: int  # of each knob, listed one by one: half of them the best, half the newest
    ranges: int  # into which the other values of a knob are summarised
    chars: int  # of a quoted reason or a note; 0 leaves it out
    docs: bool  # whether knobs and constraints are explained
    by_knob: bool  # failures and refusals by knob; else only how many of each kind


def detail_levels(most_values: int) -> list[Detail]:
    """Every level, the coarsest first; the last lists ``most_values`` values of each knob, which is all of them."""
    levels = [Detail(0, 1, 0, docs=False, by_knob=False), Detail(0, 1, 0, docs=False, by_knob=True)]
    values = 1
    while True:
        chars = 0 if values < 2 else 40 if values < 8 else 100
        levels.append(Detail(values, max(1, min(8, values // 2)), chars, docs=values >= 4, by_knob=True))
        if values >= max(most_values, 8):
            return levels
        values += max(1, values // 3)


def knob_line(knob: Knob, space: Space, detail: Detail) -> str:
    """A knob of the menu: the values that the constraints leave, the baseline's value, its meaning."""
    if isinstance(knob, ChoiceKnob):
        kind = "one of " + ", ".join(value_text(c) for c in allowed_choices(space, knob))
    else:
        noun = "number" if isinstance(knob, FloatKnob) else "integer"
        scale = ", log scale" if isinstance(knob, FloatKnob) and knob.log else ""
        low, high = allowed_range(space, knob)
        kind = f"{noun} {value_text(low)} to {value_text(high)}{scale}"
    doc = f". {one_line(knob.doc, DOC_CHARS)}" if detail.docs and knob.doc else ""
    return f"- {knob.name}: {kind}; baseline {value_text(space.baseline[knob.name])}{doc}"


def measured_lines(results: Results, detail: Detail) -> str:
    """The measured values of each knob, one by one or summarised by range."""
    lines = [f"- {name} {_knob_results(knob, detail)}" for name, knob in results.measured.items()]
    return "\n".join([*lines, *_stopped_lines(results, detail)]) or "Nothing yet."


def _stopped_lines(results: Results, detail: Detail) -> Iterator[str]:
    """The trials that were stopped early: they have no effect, and none is made up for them."""
    if not results.stopped:
        return
    yield "- stopped early, before an effect was measured, because they were too far behind the baseline to be kept:"
    if not detail.by_knob:
        yield f"  {_totals((knob, stopped.count) for knob, stopped in results.stopped.items())}"
        return
    for knob, stopped in results.stopped.items():
        where = f"; the latest at {stopped.detail}" if detail.chars else ""
        yield f"  {knob} {_at_values(stopped, detail)}{where}"


def _knob_results(knob: KnobResults, detail: Detail) -> str:
    listed = _listed(knob, detail.values)
    groups = _chunks([place for place in knob.by_value if place not in listed], detail.ranges)
    listed |= {group[0] for group in groups if len(group) == 1}
    ranges = [_range(knob, group) for group in groups if len(group) > 1]
    entries = [_entry(knob, place) for place in sorted(listed, key=knob.values.__getitem__)]
    head = f"({plural(len(knob), 'result')}{_kept_suffix(sum(knob.kept))})"
    if not entries and len(ranges) == 1:
        return f"{head}: {_summary(knob, knob.by_value)}"
    return f"{head}: {'; '.join([*entries, *ranges])}"


def _listed(knob: KnobResults, values: int) -> set[int]:
    """Indices of ``values`` results: half of them the best, the others the newest of the rest."""
    listed = set(knob.best_first[: (values + 1) // 2])
    for place in range(len(knob) - 1, -1, -1):
        if len(listed) >= values:
            break
        listed.add(place)
    return listed


def _entry(knob: KnobResults, place: int) -> str:
    trials = f" x{knob.trials[place]}" if knob.trials[place] > 1 else ""
    kept = " kept" if knob.kept[place] else ""
    return f"{value_text(knob.values[place])}: {percent(knob.effects[place])}{trials}{kept}"


def _range(knob: KnobResults, places: Sequence[int]) -> str:
    """A summary of several neighbouring values."""
    ends = f"{value_text(knob.values[places[0]])} to {value_text(knob.values[places[-1]])}"
    kept = _kept_suffix(sum([knob.kept[place] for place in places]))
    return f"{len(places)} values {ends}: {_summary(knob, places)}{kept}"


def _summary(knob: KnobResults, places: Sequence[int]) -> str:
    effects = [knob.effects[place] for place in places]
    best, mean = max(effects), sum(effects) / len(effects)
    return f"mean {percent(mean)}, best {percent(best)} at {value_text(knob.values[places[effects.index(best)]])}"


def _kept_suffix(keeps: int) -> str:
    return f", {keeps} kept" if keeps else ""


def _chunks(row: Sequence[int], most: int) -> list[Sequence[int]]:
    """``row`` cut into at most ``most`` neighbouring parts of about equal length."""
    size = -(-len(row) // most)
    return [row[i : i + size] for i in range(0, len(row), size)] if row else []


def failed_lines(results: Results, detail: Detail) -> str:
    """The failures by knob and cause."""
    if not detail.by_knob:
        counts = [(str(cause), failures.count) for (_, cause), failures in results.failures.items()]
        return _totals(counts) or "Nothing."
    lines = [f"- {knob}: {cause} {_failures(f, detail)}" for (knob, cause), f in results.failures.items()]
    return "\n".join(lines) or "Nothing."


def _failures(failures: Failures, detail: Detail) -> str:
    return f"{_at_values(failures, detail)}{_latest(failures.detail, detail)}"


def _at_values(failures: Failures, detail: Detail) -> str:
    values = failures.values
    if len(values) <= max(1, detail.values):
        where = ", ".join(map(value_text, values))
    else:
        where = f"{value_text(values[0])} to {value_text(values[-1])}"
    return f"{format_times(failures.count)} at {where}"


def refused_lines(results: Results, detail: Detail) -> str:
    """The refusals by knob and rail: how often, and the latest reason."""
    if not detail.by_knob:
        return _totals((str(rail), refusals.count) for (_, rail), refusals in results.refusals.items()) or "Nothing."
    lines = [f"- {_subject(knob)}: {rail} {_refusals(r, detail)}" for (knob, rail), r in results.refusals.items()]
    return "\n".join(lines) or "Nothing."


def _refusals(refusals: Refusals, detail: Detail) -> str:
    return f"{format_times(refusals.count)}{_latest(refusals.reason, detail)}"


def _subject(knob: str) -> str:
    return "no known knob" if knob == NO_KNOB else knob


def _latest(text: str, detail: Detail) -> str:
    return f"; {quoted(text, detail.chars)}" if detail.chars and text else ""


def _totals(counts: Iterable[tuple[str, int]]) -> str:
    """How many of each kind, over all knobs."""
    sums: dict[str, int] = {}
    for kind, count in counts:
        sums[kind] = sums.get(kind, 0) + count
    return "; ".join(f"{kind} {format_times(count)}" for kind, count in sums.items())


def belief_lines(beliefs: Sequence[Belief], detail: Detail) -> str:
    """What the optimizer would try next, the knobs changed most first; only three of them at the coarsest level.

    Knobs without a result are named, not estimated. A knob that neither its candidates nor the best configuration that
    it knows change is left out.
    """
    is_of_use = (b for b in beliefs if b.results and (b.share > 0 or b.best is not None))
    drawn = sorted(is_of_use, key=lambda b: -b.share)
    lines = [_belief(b, detail) for b in (drawn if detail.by_knob else drawn[:3])]
    unknown = [b.knob for b in beliefs if not b.results]
    if lines and unknown and detail.by_knob:
        lines.append(f"- no estimate, because nothing was measured: {', '.join(unknown)}")
    return "\n".join(lines)


def _belief(belief: Belief, detail: Detail) -> str:
    ends = [value_text(v) for v in (belief.low, belief.guess, belief.high) if v is not None]
    spread = f" ({ends[0]} to {ends[2]})" if len(set(ends)) > 1 else ""
    where = f", around {ends[1]}{spread}" if len(ends) == 3 else ""
    note = f"; uncertain: {one_line(belief.note, detail.chars)}" if belief.note and detail.chars else ""
    best = (
        f"; {value_text(belief.best)} in the best configuration that it knows"
        if belief.best is not None and detail.chars
        else ""
    )
    share = f"{100 * belief.share:.0f}% of its candidates{where}"
    return f"- {belief.knob}: {share}, {plural(belief.results, 'result')}{best}{note}"
