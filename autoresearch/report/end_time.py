"""When the clock ends a run that is in progress, in the local time of its daemon. Pure."""

from __future__ import annotations

from datetime import datetime, timezone

from autoresearch.config.local_time import format_end
from autoresearch.report.format import safe
from autoresearch.report.history import History

MAX_CELLS = 80


def describe_end(history: History, now: datetime) -> str:
    """``ends 06:30 CET, in 8 h 12 min``; empty where no clock time ends the run, or that time has passed."""
    if history.state not in ("running", "paused"):
        return ""
    try:
        moment = datetime.fromisoformat(history.ends_at or "")
    except ValueError:
        return ""
    offset = moment.utcoffset()
    if offset is None or moment <= now:
        return ""
    zone = timezone(offset, history.zone) if history.zone else timezone(offset)
    return safe(f"ends {format_end(moment.astimezone(zone), now)}", MAX_CELLS)
