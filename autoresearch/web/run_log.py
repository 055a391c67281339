"""The log of a run on its page: a line for each record that a reader would want to know of. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from autoresearch.core.measurement import Failure
from autoresearch.core.records import (
    Baseline,
    Event,
    IterationRecord,
    LoopComplete,
    Meta,
    Paused,
    Resumed,
    SideTrialSuspended,
    Started,
    Stopped,
    TrialEnded,
    TrialSuspended,
    Unsealed,
)
from autoresearch.report.format import format_bpb
from autoresearch.report.history import Row
from autoresearch.report.html.rows import format_end
from autoresearch.report.html.text import clean, format_gain
from autoresearch.web.row_json import describe_change

TEXT_CHARS = 240
LOG_LINES = 200


@dataclass(frozen=True, slots=True)
class LogLine:
    """``kind`` is one of: start, verdict, keep, trouble, pause, end."""

    ts: str
    kind: str
    text: str


def describe_record(record: Event, row: Row | None = None) -> LogLine | None:
    """The line of ``record``; ``row`` is what a closed iteration became. ``None`` for a record without a line."""
    match record:
        case Meta():
            return _line(record, "start", f"run {record.run_id} begins, profile {record.profile}")
        case Started():
            asked = f", {record.iters_requested:,} iterations" if record.iters_requested is not None else ""
            return _line(record, "start", f"started: proposer {record.proposer}{asked}, pid {record.pid}")
        case Baseline():
            return _line(record, "verdict", f"baseline: {format_bpb(record.value)} over {len(record.trials)} trials")
        case TrialEnded(outcome=Failure() as failure):
            return _line(record, "trouble", f"trial {record.trial} failed: {failure.cause}: {failure.detail}")
        case TrialEnded(void=True):
            return _line(record, "trouble", f"trial {record.trial} is void and runs again")
        case SideTrialSuspended():
            return _line(record, "pause", f"trial {record.side_trial} of the {record.purpose} suspended")
        case TrialSuspended():
            return _line(record, "pause", f"trial {record.trial} suspended")
        case Paused():
            return _line(record, "pause", f"paused: {record.reason}")
        case Resumed():
            return _line(record, "start", "resumed")
        case Stopped():
            return _line(record, "end", f"stopped: {record.reason}")
        case LoopComplete():
            return _line(record, "end", "complete")
        case Unsealed():
            return _line(record, "verdict", f"iteration {record.iter}: its vault was unsealed")
    if isinstance(record, IterationRecord) and row is not None:
        return _verdict(record, row)
    return None


def _verdict(record: Event, row: Row) -> LogLine:
    change = describe_change(row) if row.knob else "no proposal"
    gain = f", {format_gain(row.improvement_frac)}" if row.improvement_frac is not None else ""
    text = f"{row.iter:,}: {change}: {format_end(row)}{gain}"
    kind = "keep" if row.decision == "keep" else "verdict" if row.stage in ("evaluated", "stopped_early") else "trouble"
    return _line(record, kind, text)


def _line(record: Event, kind: str, text: str) -> LogLine:
    return LogLine(clean(record.ts, 40), kind, clean(text, TEXT_CHARS))
