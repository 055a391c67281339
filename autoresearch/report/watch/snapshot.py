"""The state of a run at one moment: records, lock, pause flag, and the progress of the running trial."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from autoresearch.core.records import Event, Meta, Proposed, TrialEnded
from autoresearch.errors import JournalError
from autoresearch.report import History, Summary, summarise
from autoresearch.report.live_wait import live_wait, with_wait
from autoresearch.report.load import NO_META
from autoresearch.report.native import HistoryBuilder
from autoresearch.report.watch.follow import Follower, NewRecords
from autoresearch.storage.lock import lock_holder
from autoresearch.storage.progress_file import ProgressSnapshot, read_progress
from autoresearch.storage.run_dir import LOCK, PAUSE_FLAG, TRAJECTORY, has_writer


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment. ``alive`` is whether a process holds the run's lock, ``None`` for a bare file without a lock."""

    path: Path
    now: datetime  # local, with its zone
    history: History | None = None  # None: no record yet
    summary: Summary | None = None
    proposed: Proposed | None = None  # the proposal of the open iteration
    watts: float | None = None  # while the newest trial trained; None: not metered
    alive: bool | None = None
    starting: bool = False  # a process holds the lock, but has written no record yet
    waits: str = ""  # what the living daemon waits for, as it says itself
    pause_requested: bool = False  # pause.flag exists
    progress: ProgressSnapshot | None = None  # of the running trial, or of the preparation of a starting daemon
    problem: JournalError | None = None


class SnapshotReader:
    """Polls the run at ``path``; a poll of an unchanged run costs a few system calls."""

    def __init__(self, path: Path, now: Callable[[], datetime] = lambda: datetime.now().astimezone()) -> None:
        self.path = path
        self._now = now
        is_file = path.is_file()
        self._run_dir = None if is_file else path  # a bare file may be anywhere: it has no lock and no flag
        self._follower = Follower(path if is_file else path / TRAJECTORY)
        self._builder = HistoryBuilder()
        self._current: tuple[History, Summary] | None = None
        self._watts: float | None = None
        self._warnings: tuple[str, ...] = ()

    def poll(self) -> Snapshot:
        """The state of the run now."""
        alive = self._is_alive()
        try:
            self._read()
        except JournalError as e:
            self._apply(NewRecords(True, []))
            return Snapshot(self.path, self._now(), alive=alive, problem=e)
        # A daemon that started or ended between the two checks was alive while the records were read.
        return self._snapshot(alive or self._is_alive())

    def close(self) -> None:
        self._follower.close()

    def _read(self) -> None:
        """Read all new records, of a long run in several polls, and summarise once."""
        is_new, more = False, True
        while more:
            new = self._follower.poll()
            self._apply(new)
            is_new = bool(new.records) or (is_new and not new.replaced)
            more = new.more
        if is_new:
            history = replace(self._builder.history(), warnings=self._warnings)
            self._current = history, summarise(history)

    def _apply(self, new: NewRecords) -> None:
        if not new:
            return
        if new.replaced:
            self._builder, self._current, self._watts = HistoryBuilder(), None, None
        first = self._builder.trajectory.meta or next(iter(new.records), None)
        self._warnings = self._follower.warnings() + (() if isinstance(first, Meta | None) else (NO_META,))
        self._builder.damaged = bool(self._warnings)
        for record in new.records:
            self._builder.add(record)
            if isinstance(record, TrialEnded):
                self._watts = watts_of(record)
            self._took(record)

    def _took(self, record: Event) -> None:
        """Called after each record, for a subclass."""

    def _snapshot(self, alive: bool | None) -> Snapshot:
        history, summary = self._current or (None, None)
        waits = live_wait(self._run_dir) if self._run_dir and alive else ""
        if waits and history:
            history = with_wait(history, waits)
            summary = summary and summary.model_copy(update={"state": history.state, "stop_reason": waits})
        holder = self._holder() if alive else None
        started = self._builder.started
        starting = bool(alive and (started is None or started.pid != holder))
        return Snapshot(
            self.path,
            self._now(),
            history,
            summary,
            self._builder.trajectory.proposed,
            self._watts,
            alive,
            starting,
            waits,
            bool(self._run_dir and os.path.lexists(self._run_dir / PAUSE_FLAG)),
            self._progress(holder, history, starting) if alive else None,
        )

    def _is_alive(self) -> bool | None:
        return has_writer(self._run_dir) if self._run_dir else None

    def _holder(self) -> object:
        holder = lock_holder(self._run_dir / LOCK) if self._run_dir else None
        return holder.get("pid") if holder else None

    def _progress(self, holder: object, history: History | None, starting: bool) -> ProgressSnapshot | None:
        """The content of progress.json, if the living daemon wrote it about the running trial."""
        progress = read_progress(self._run_dir) if self._run_dir else None
        if progress is None or progress.pid != holder:
            return None
        if progress.iter is None:
            return progress if starting else None
        open_iters = {t.iter for t in history.open_trials} if history else set()
        return progress if progress.iter in open_iters and not starting else None


def watts_of(record: TrialEnded) -> float | None:
    """The mean power of a trial while it trained, over the seconds that were metered; ``None`` if not metered."""
    train = record.power.get("train")
    return train.mean_w if train else None
