"""Wait for disk space before a run begins, and show other processes what it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from autoresearch.core.disk_wait import POLL_S, WAITS
from autoresearch.core.ports import Observer
from autoresearch.daemon.control import RunControl
from autoresearch.errors import JournalError
from autoresearch.storage.disk_space import shortage
from autoresearch.storage.journal import Journal
from autoresearch.storage.lock import DirectoryLock
from autoresearch.storage.sealed_line import Prefix

RESERVE_BYTES = 256 << 10  # of disk space for the next records, so that the end of a trial is written on a full disk


class LockNote(Observer):
    """Writes what the run waits for into run.lock, for ``status`` and ``watch``: no record may fit on the disk."""

    def __init__(self, lock: DirectoryLock) -> None:
        self._lock = lock

    def waiting(self, reason: str) -> None:
        self._lock.note(reason)


def open_journal(
    path: Path,
    first: bytes,
    observer: Observer,
    sleep: Callable[[float], None] = time.sleep,
    verified: Prefix | None = None,
) -> Journal:
    """Open a run's journal; on a full disk, wait until it can be opened. A signal ends the process meanwhile."""
    while True:
        try:
            journal = Journal(path, first, RESERVE_BYTES, verified)
        except JournalError as full:
            if not full.no_space:
                raise
            observer.waiting(shortage(path.parent, None) or f"{WAITS}: {full.what}")
            observer.heartbeat("")
            sleep(POLL_S)
        else:
            observer.waiting("")
            return journal


def wait_for_space(shortage: Callable[[], str], control: RunControl, observer: Observer) -> None:
    """Before anything is prepared: block until there is enough disk space or the run is to end."""
    while (reason := shortage()) and not control.stop_reason():
        observer.waiting(reason)
        control.wait(POLL_S)
    observer.waiting("")
