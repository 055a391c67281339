"""What the proposer repeated, what it ignored, and what the rails had to refuse. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from autoresearch.core.text import plural
from autoresearch.report.format import format_share
from autoresearch.report.history import History
from autoresearch.report.html.coverage import Covered
from autoresearch.report.html.text import NAME_CHARS, clean, format_value
from autoresearch.report.summary import Summary

SHOWN = 8
RAILS = {
    "R1_schema": "was no proposal in the agreed form",
    "R2_menu": "named a knob that is not on the menu",
    "R3_range": "asked for a value outside its range",
    "R4_cross": "broke a rule over several knobs",
    "R5_diff_lint": "changed more or less than one line",
    "R6_novelty": "was known already",
    "R7_budget": "was too large or too slow",
}


@dataclass(frozen=True, slots=True)
class Habits:
    """Sentences and short lists, each empty where there is nothing to say."""

    repeats: str
    pairs: tuple[tuple[str, int], ...]  # what was proposed more than once, and how often
    ignored_knobs: tuple[str, ...]
    ignored_values: tuple[tuple[str, str], ...]  # knob, and its choices that were never tried
    refused: tuple[tuple[str, str, int], ...]  # rail, in words, attempts


def habits(s: Summary, history: History, covered: tuple[Covered, ...]) -> Habits:
    """Counted over the proposals of closed iterations."""
    pairs = [
        (f"{clean(p.knob, NAME_CHARS)} = {format_value(p.new_value)}", p.count) for p in s.top_pairs if p.count > 1
    ]
    refused = sorted(s.refused_attempts_by_rail.items(), key=lambda item: (-item[1], item[0]))
    return Habits(
        repeats=_repeats(s),
        pairs=tuple(pairs[:SHOWN]),
        ignored_knobs=tuple(clean(name, NAME_CHARS) for name in s.knobs_untouched),
        ignored_values=tuple(_ignored(covered)),
        refused=tuple((clean(rail, NAME_CHARS), RAILS.get(rail, "was refused"), n) for rail, n in refused),
    )


def _repeats(s: Summary) -> str:
    proposals = s.unique_pairs + s.repeat_count
    if not proposals:
        return "Nothing was proposed."
    if not s.repeat_count:
        return f"No proposal came twice: {plural(proposals, 'proposal')}, all different."
    share = format_share(s.repeat_count / proposals)
    return (
        f"{s.repeat_count:,} of {plural(proposals, 'proposal')} ({share}) repeated a value "
        f"that an earlier iteration had proposed; {s.unique_pairs:,} were distinct."
    )


def _ignored(covered: tuple[Covered, ...]) -> list[tuple[str, str]]:
    """Choices that nobody tried, of the knobs that were touched; the others are named as a whole."""
    found = []
    for entry in covered:
        left = [cell.label for cell in entry.cells if not cell.tried and not cell.is_baseline]
        if entry.tried and left and not entry.in_parts:
            found.append((clean(entry.domain.knob, NAME_CHARS), ", ".join(left)))
    return found
