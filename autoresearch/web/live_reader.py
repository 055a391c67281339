"""Read a growing run for its page: a slice of a long one at a time, and a summary as often as its cost allows."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from autoresearch.core.measurement import Measurement
from autoresearch.core.records import Event, IterationRecord, Proposed, TrialEnded
from autoresearch.errors import JournalError
from autoresearch.report import Row, Summary, summarise
from autoresearch.report.watch.follow import NewRecords
from autoresearch.report.watch.snapshot import SnapshotReader
from autoresearch.storage.run_dir import TRAJECTORY
from autoresearch.web.find_runs import is_plain_file
from autoresearch.web.run_log import LOG_LINES, LogLine, describe_record

MAX_BYTES = 1 << 30  # of a trajectory: 10,000 iterations are 30 MB
SUMMARY_SHARE = 0.05  # of the time at most: summarising 10,000 iterations takes more than a second


def local_now() -> datetime:
    return datetime.now().astimezone()


def refuse_file(file: Path) -> None:
    """Raise ``JournalError`` for a trajectory that is a link or too large."""
    if file.is_symlink():
        raise JournalError(f"{TRAJECTORY} is a link, which is not followed", hint="serve the directory it points to")
    if is_plain_file(file) and file.stat().st_size > MAX_BYTES:
        raise JournalError(f"{TRAJECTORY} is larger than {MAX_BYTES >> 30} GiB", hint="`autoresearch report` reads it")


class LiveReader(SnapshotReader):
    """The run in the directory ``path``. ``log`` has its last lines, the newest last."""

    def __init__(
        self, path: Path, now: Callable[[], datetime] = local_now, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(path, now)
        self.log: deque[LogLine] = deque(maxlen=LOG_LINES)
        self.replacements = 0  # how often all that was read became obsolete
        self.loading = True  # the file has more records than were read so far
        self.keeps = 0
        self._open: dict[int, list[tuple[int, Sequence[float]]]] = {}  # by open iteration: seeds and training losses
        self._clock = clock
        self._next_summary_s = 0.0
        self._stale = False  # the summary is older than the history

    @property
    def rows(self) -> list[Row]:
        """The closed iterations so far: it only grows, and a row is replaced where its vault is unsealed."""
        return self._builder.rows

    @property
    def open_curves(self) -> list[tuple[int, Sequence[float]]]:
        """Seed and training loss of each trial of the open candidates, of which a parallel run has several."""
        return [curve for curves in self._open.values() for curve in curves]

    def _read(self) -> None:
        """Read the next slice. Raises ``JournalError``."""
        self.loading = False  # of a file that cannot be read, nothing more comes at once
        refuse_file(self.path / TRAJECTORY)
        new = self._follower.poll()
        self._apply(new)
        self.loading = new.more
        self._stale |= bool(new)
        if self._stale and not new.more and (self._builder.trajectory.meta or self._builder.damaged):
            self._renew()

    def _renew(self) -> None:
        history = replace(self._builder.history(), warnings=self._warnings)
        began = self._clock()
        if self._current and began < self._next_summary_s:
            self._current = history, _follow_state(self._current[1], history.state, history.stop_reason)
            return
        self._current, self._stale = (history, summarise(history)), False
        now = self._clock()
        self._next_summary_s = now + (now - began) / SUMMARY_SHARE

    def _apply(self, new: NewRecords) -> None:
        if new.replaced:
            self.log.clear()
            self._open, self.keeps = {}, 0
            self.replacements += 1
            self._next_summary_s = 0.0
        super()._apply(new)

    def _took(self, record: Event) -> None:
        row = self.rows[-1] if isinstance(record, IterationRecord) and self.rows else None
        if row and isinstance(record, IterationRecord):
            self._open.pop(record.iter, None)
            self.keeps += row.decision == "keep"
        elif isinstance(record, Proposed):
            self._open[record.iter] = []
        elif isinstance(record, TrialEnded) and record.iter in self._open and not record.void:
            curve = record.outcome.train_loss_curve if isinstance(record.outcome, Measurement) else None
            self._open[record.iter] += [(record.seed, curve)] if curve else []
        if (line := describe_record(record, row)) is not None:
            self.log.append(line)


def _follow_state(summary: Summary, state: str, stop_reason: str | None) -> Summary:
    """The older ``summary`` with the state of now, which costs nothing."""
    return summary.model_copy(update={"state": state, "stop_reason": stop_reason})
