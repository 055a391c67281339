"""Patterns in the proposals: what was repeated, what was ignored, and what the rails refused. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from autoresearch.core.text import plural
from autoresearch.report.format import format_share
from autoresearch.report.history import History
from autoresearch.report.html.coverage import KnobCoverage
from autoresearch.report.html.text import NAME_CHARS, clean, format_value
from autoresearch.report.summary import Summary

MAX_PAIRS = 8
REFUSALS = {
    "R1_schema": "did not match the proposal schema",
    "R2_menu": "named a knob that is not on the menu",
    "R3_range": "had a value outside its range",
    "R4_cross": "violated a constraint between knobs",
    "R5_diff_lint": "changed more or less than one line",
    "R6_novelty": "repeated a known proposal",
    "R7_budget": "exceeded the memory or time budget",
}


@dataclass(frozen=True, slots=True)
class ProposalPatterns:
    """Sentences and short lists, each empty if there is no such case."""

    repeats: str
    pairs: tuple[tuple[str, int], ...]  # "knob = value" that was proposed more than once, and how often
    ignored_knobs: tuple[str, ...]
    ignored_values: tuple[tuple[str, str], ...]  # knob, and those of its choices that were never tried
    refused: tuple[tuple[str, str, int], ...]  # rail, the phrase for it, attempts


def build_proposal_patterns(s: Summary, history: History, coverage: tuple[KnobCoverage, ...]) -> ProposalPatterns:
    """Counted over the proposals of closed iterations."""
    pairs = [
        (f"{clean(p.knob, NAME_CHARS)} = {format_value(p.new_value)}", p.count) for p in s.top_pairs if p.count > 1
    ]
    refused = sorted(s.refused_attempts_by_rail.items(), key=lambda item: (-item[1], item[0]))
    return ProposalPatterns(
        repeats=_repeats(s),
        pairs=tuple(pairs[:MAX_PAIRS]),
        ignored_knobs=tuple(clean(name, NAME_CHARS) for name in s.knobs_untouched),
        ignored_values=tuple(_ignored_values(coverage)),
        refused=tuple((clean(rail, NAME_CHARS), REFUSALS.get(rail, "was refused"), n) for rail, n in refused),
    )


def _repeats(s: Summary) -> str:
    proposals = s.unique_pairs + s.repeat_count
    if not proposals:
        return "Nothing was proposed."
    if not s.repeat_count:
        return f"No proposal was repeated: {plural(proposals, 'proposal')}, all distinct."
    share = format_share(s.repeat_count / proposals)
    return (
        f"{s.repeat_count:,} of {plural(proposals, 'proposal')} ({share}) repeated a value "
        f"that an earlier iteration had proposed; {s.unique_pairs:,} were distinct."
    )


def _ignored_values(coverage: tuple[KnobCoverage, ...]) -> list[tuple[str, str]]:
    """The untried choices of the knobs that were proposed; knobs that were never proposed are listed elsewhere."""
    found = []
    for entry in coverage:
        left = [cell.label for cell in entry.cells if not cell.tried and not cell.is_baseline]
        if entry.tried and left and not entry.in_parts:
            found.append((clean(entry.domain.knob, NAME_CHARS), ", ".join(left)))
    return found
