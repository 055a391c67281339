"""What a running daemon waits for now, as far as no record says it: on a full disk none can be written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from autoresearch.errors import JournalError
from autoresearch.report.history import History
from autoresearch.storage.disk_space import shortage
from autoresearch.storage.lock import is_locked, lock_holder, waits_for
from autoresearch.storage.run_dir import LOCK


def live_wait(run_dir: Path) -> str:
    """What the daemon of ``run_dir`` waits for; empty if it does not, or none runs.

    A daemon that found the disk full could not even write that into run.lock: then the disk itself shows it.
    """
    lock = run_dir / LOCK
    if is_locked(lock) and lock_holder(lock) is None:
        return shortage(run_dir, None)
    return waits_for(lock)


def not_begun(no_record: JournalError, waits: str) -> JournalError:
    """The error for a run without a record whose daemon ``waits``; ``no_record`` where it does not wait."""
    if not waits:
        return no_record
    return JournalError(f"{no_record.what}: its daemon {waits}", hint="make room: the run then begins by itself")


def with_wait(history: History, waits: str) -> History:
    """``history`` as of a run that waits, with the present numbers; unchanged where ``waits`` is empty."""
    return replace(history, state="paused", stop_reason=waits, waits_for="disk_space") if waits else history
