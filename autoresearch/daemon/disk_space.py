"""Wait for disk space before a run begins, show other processes what it waits for, and record the wait afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autoresearch.core.disk_wait import POLL_S, WAITS
from autoresearch.core.ports import Observer
from autoresearch.daemon.control import RunControl
from autoresearch.errors import JournalError
from autoresearch.machine import utc
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


@dataclass(slots=True)
class StartupWait(Observer):
    """How long the start of a run waited for disk space, and what it waited for first: no record can be written then.

    What is reported once ``is_over`` is set belongs to the loop, which records its own waits.
    """

    clock: Callable[[], float] = time.monotonic
    reason: str = ""
    ts: str = ""  # when the first wait began
    seconds: float = 0.0
    is_over: bool = False
    _since: float | None = None

    def waiting(self, reason: str) -> None:
        if self.is_over:
            return
        if reason and self._since is None:
            self._since = self.clock()
            self.reason, self.ts = self.reason or reason, self.ts or utc()
        elif not reason and self._since is not None:
            self.seconds += self.clock() - self._since
            self._since = None


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
