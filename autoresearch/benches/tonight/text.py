"""The verdict of the morning as text, and its table for the terminal and the page. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from autoresearch.benches.comparison import format_p
from autoresearch.benches.tonight.candidate import TRIALS
from autoresearch.benches.tonight.evidence import Evidence, failure_classes
from autoresearch.benches.tonight.verdict import Row
from autoresearch.core.text import escape_control
from autoresearch.report.format import format_duration

HEAD = ("candidate", f"regret after {TRIALS}", "95% interval", "gain over TPE", "95% interval", "p", "seeds")
CLOCK_HEAD = (
    "candidate",
    f"regret in TPE's time for {TRIALS}",
    "gain over TPE",
    "95% interval",
    "time a proposal",
    "J a proposal",
    "gain a kJ",
)


def describe_evidence(e: Evidence) -> str:
    """The page as text, in the page's order."""
    candidates = [row.candidate for row in e.tonight.rows]
    lines = [e.tonight.headline, e.tonight.reason, "", f"    {e.command}"]
    if e.tonight.rows:
        lines += ["", *format_table(HEAD, candidate_cells(e.tonight.rows))]
        lines += ["", "Against the clock, and the proposer's own cost"]
        lines += format_table(CLOCK_HEAD, clock_cells(e.tonight.rows))
    if failure_classes(candidates):
        lines += ["", "Proposals lost, by class"]
        lines += format_table(("class", *(c.name for c in candidates)), failure_cells(e))
    if e.others:
        lines += ["", "Other runs"]
        lines += [f"  {r.suite}, {r.model or 'no model'}: {r.headline}" for r in e.others]
    lines += ["", f"Bottleneck: {e.bottleneck}", ""]
    lines += ["Incomplete: nothing."] if not e.incomplete else ["Incomplete:", *(f"  {text}" for text in e.incomplete)]
    return "\n".join(escape_control(line) for line in lines)


def candidate_cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Regret and gain of each candidate; a dash for what is not known."""
    return [
        (
            row.candidate.name,
            _number(row.regret),
            _interval(row.interval),
            _number(row.gain, sign=True),
            _interval(row.gain_interval, sign=True),
            "-" if row.p is None else format_p(row.p),
            f"{row.seeds:,}",
        )
        for row in rows
    ]


def clock_cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Regret at equal time, and what a proposal costs."""
    return [
        (
            row.candidate.name,
            _number(row.at_clock),
            _number(row.clock_gain, sign=True),
            _interval(row.clock_interval, sign=True),
            "-" if row.candidate.proposal_s is None else format_duration(row.candidate.proposal_s),
            "-" if row.candidate.proposal_j is None else f"{row.candidate.proposal_j:,.1f}",
            _number(row.gain_per_kj, sign=True),
        )
        for row in rows
    ]


def failure_cells(e: Evidence) -> list[tuple[str, ...]]:
    """The classes of failure with their counts by candidate."""
    candidates = [row.candidate for row in e.tonight.rows]
    return [
        (name.replace("_", " "), *(f"{counts[c.name]:,}" for c in candidates))
        for name, counts in failure_classes(candidates).items()
    ]


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns that line up: the first to the left, numbers to the right."""
    every = [tuple(head), *rows]
    widths = [max(len(row[n]) for row in every) for n in range(len(head))]
    lines = []
    for row in every:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip())
    return lines


def _number(value: float | None, *, sign: bool = False) -> str:
    return "-" if value is None else f"{value:{'+' if sign else ''}.4f}"


def _interval(interval: tuple[float, float] | None, *, sign: bool = False) -> str:
    return "-" if interval is None else f"{_number(interval[0], sign=sign)} to {_number(interval[1], sign=sign)}"
