"""What a running daemon waits for now, as far as no record says it: on a full disk none can be written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from autoresearch.report.history import History
from autoresearch.storage.lock import waits_for
from autoresearch.storage.run_dir import LOCK


def live_wait(run_dir: Path) -> str:
    """What the daemon of ``run_dir`` waits for; empty if it does not, or none runs."""
    return waits_for(run_dir / LOCK)


def with_wait(history: History, waits: str) -> History:
    """``history`` as of a run that waits, with the present numbers; unchanged where ``waits`` is empty."""
    return replace(history, state="paused", stop_reason=waits, waits_for="disk_space") if waits else history
