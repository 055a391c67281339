"""The table of iterations, a line each. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

from autoresearch.core.metric import BITS_PER_BYTE
from autoresearch.report.format import format_bpb, format_change, format_duration, format_percent, pad, safe
from autoresearch.report.history import Row

COLUMNS = {"iter": 6, "change": 24, "val_bpb": 9, "gain": 9, "verdict": 17, "time": 13}
WITH_SOURCE = {"iter": 6, "change": 19, "source": 8, "val_bpb": 8, "gain": 9, "verdict": 16, "time": 12}
SEQUENTIAL = {"iter": 6, "change": 21, "val_bpb": 8, "gain": 9, "seeds": 6, "verdict": 16, "time": 12}
SEQUENTIAL_WITH_SOURCE = {
    "iter": 6, "change": 16, "source": 7, "val_bpb": 7, "gain": 9, "seeds": 6, "verdict": 16, "time": 11,
}  # fmt: skip
MIN_WHY_CELLS = 20  # minimum width of the column for the reason of the proposer or the failure
COLORS = {"keep": "32", "bad": "31", "dim": "2", "bold": "1"}


def paint(text: str, kind: str, color: bool) -> str:
    """``text`` in an ANSI colour if ``color``; the only function that writes an escape sequence."""
    return f"\x1b[{COLORS[kind]}m{text}\x1b[0m" if color and kind in COLORS else text


def choose_columns(*, with_source: bool, sequential: bool) -> Mapping[str, int]:
    """The columns and their cells, 78 in all."""
    if sequential:
        return SEQUENTIAL_WITH_SOURCE if with_source else SEQUENTIAL
    return WITH_SOURCE if with_source else COLUMNS


def render_table(
    rows: Sequence[Row],
    width: int,
    color: bool,
    *,
    with_source: bool = False,
    sequential: bool = False,
    metric: str = BITS_PER_BYTE,
) -> list[str]:
    """A heading and a line per row: iteration, change, val_bpb, gain over the baseline, verdict, wall time, reason.

    A ``!`` follows the verdict of an iteration with a marked trial (throttled, contended, slow). ``with_source`` adds
    the source of the proposal, for a run of several sources, and narrows the other columns. With ``sequential``, the
    rule of that name, there is a column for the number of seeds that the gain is the mean of.
    """
    columns = choose_columns(with_source=with_source, sequential=sequential)
    heading = format_heading(columns, metric)
    return [
        paint(heading.rstrip(), "dim", color),
        *(paint(format_row(r, width, columns), row_style(r), color) for r in rows),
    ]


def format_heading(columns: Mapping[str, int], metric: str = BITS_PER_BYTE) -> str:
    """The names of the columns; that of ``val_bpb`` is the metric's."""
    shown = {name: safe(metric, cells - 1) if name == BITS_PER_BYTE else name for name, cells in columns.items()}
    return "".join(pad(shown[name], cells) for name, cells in columns.items())


def format_row(row: Row, width: int, columns: Mapping[str, int] = COLUMNS) -> str:
    """One row without colour; the reason only if ``width`` leaves room for it."""
    cells = {
        "iter": str(row.iter),
        "change": format_change(row.knob, row.new_value, columns["change"] - 1),
        "source": safe(row.source or "-", columns.get("source", WITH_SOURCE["source"]) - 1),
        "val_bpb": format_bpb(row.val_bpb),
        "gain": format_percent(row.improvement_frac),
        "seeds": str(len(row.evidence.seeds)) if row.evidence else "-",
        "verdict": format_marked_verdict(row),
        "time": format_duration(row.wall_s),
    }
    fixed = "".join(pad(cells[name], room) for name, room in columns.items())
    left = width - sum(columns.values())
    why = "; ".join(filter(None, (row.remark, row.why if row.stage == "evaluated" else "")))
    return (fixed + safe(why, left) if left >= MIN_WHY_CELLS else fixed).rstrip()


def format_marked_verdict(row: Row) -> str:
    """The verdict, with ``!`` where a trial of the iteration was marked (throttled, contended, slow)."""
    return format_verdict(row) + (" !" if row.marks else "")


def format_verdict(row: Row) -> str:
    """``keep``, ``revert``, the label that rule sequential gave, the rail that refused, or the cause of the failure."""
    match row.stage:
        case "blocked":
            return safe(row.rail or "blocked", 16)
        case "eval_failed":
            return safe(row.cause or "failed", 16)
        case "proposer_failed":
            return "no proposal"
        case "stopped_early":
            return "stopped early"
        case "baseline" | "evaluated":
            return row.evidence.label if row.evidence else row.decision or "-"
        case _:
            assert_never(row.stage)


def row_style(row: Row) -> str:
    """The key of the row's colour: ``keep``, ``revert``, ``bad`` or ``dim``."""
    if row.stage in ("eval_failed", "proposer_failed"):
        return "bad"
    return row.decision or "dim"
