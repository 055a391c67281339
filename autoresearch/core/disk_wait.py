"""Wait for disk space: before a trial while less than a floor is free, or before a record that could not be written."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from autoresearch.core.ports import Control, Observer
from autoresearch.errors import JournalError

POLL_S = 1.0  # between two looks at the disk
QUOTA_POLL_S = 60.0  # where only another try shows that there is space again, and each try is recorded
WAITS = "waits for disk space"


@dataclass(frozen=True, slots=True)
class DiskWait:
    """How a run waits. ``shortage`` is why no trial can start, empty where there is enough space."""

    shortage: Callable[[], str]
    control: Control
    observer: Observer
    ends_on_pause: bool  # a pause ends the process instead of waiting

    def until_enough(self) -> None:
        """Block while space is short and neither a stop nor a pause is requested."""
        while (reason := self.shortage()) and not self.control.stop_reason() and not self.control.pause_reason():
            self.show(reason)
            self.control.wait(POLL_S)
        self.show("")

    def before_another_try(self) -> None:
        """As ``until_enough``, and a minute where a quota was exceeded, which leaves the disk enough space."""
        if self.shortage():
            self.until_enough()
        else:
            self.control.wait(QUOTA_POLL_S)

    def until_written(self, append: Callable[[], object], full: JournalError) -> None:
        """Try ``append`` again every second; what it writes stays in memory meanwhile.

        Raises ``JournalError`` if the run is to end before there is space, and for every other failure.
        """
        while True:
            if ending := self._ending():
                what = f"{full.what}; the run ended before there was space ({ending}), so its last record is lost"
                raise JournalError(what, hint=f"{full.hint}; the next start repeats what was not recorded")
            self.show(self.reason(full))
            self.control.wait(POLL_S)
            try:
                append()
            except JournalError as e:
                if not e.no_space:
                    raise
            else:
                self.show("")
                return

    def reason(self, full: JournalError) -> str:
        """What the run waits for; a quota leaves the disk itself enough space."""
        return self.shortage() or f"{WAITS}: {full.what}"

    def show(self, reason: str) -> None:
        with suppress(Exception):  # an observer cannot stop the run
            self.observer.waiting(reason)

    def _ending(self) -> str:
        return self.control.stop_reason() or (self.control.pause_reason() if self.ends_on_pause else "")
