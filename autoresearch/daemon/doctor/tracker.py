"""The check that the library of the setting ``track`` is installed; its server is not asked."""

from __future__ import annotations

from autoresearch.daemon.doctor.check import Check, fail, ok
from autoresearch.errors import AutoresearchError
from autoresearch.report.trackers.table import refuse_missing_tracker


def tracker(tool: str) -> Check:
    """Check the library of ``tool``, as the start of a run does."""
    try:
        refuse_missing_tracker(tool, f"track = {tool!r}")
    except AutoresearchError as e:
        return fail("tracker", e)
    return ok("tracker", f"{tool}; logs/track.log has what its library reports")
