"""What there is to see of a run at one moment: records, lock, pause flag, and the running trial's progress."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from autoresearch.core.records import Proposed, TrialEnded
from autoresearch.errors import JournalError
from autoresearch.report import History, Summary, summarise
from autoresearch.report.native import HistoryBuilder
from autoresearch.report.watch.follow import Follower, News
from autoresearch.storage.lock import is_locked, lock_holder
from autoresearch.storage.progress_file import ProgressSnapshot, read_progress
from autoresearch.storage.run_dir import LOCK, PAUSE_FLAG, TRAJECTORY


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment. ``alive`` is whether a process holds the run's lock, ``None`` where that cannot be asked."""

    path: Path
    now: datetime  # local, with its zone
    history: History | None = None  # None: no record yet
    summary: Summary | None = None
    proposed: Proposed | None = None  # what the open iteration tries
    watts: float | None = None  # while the newest trial trained; None: not metered
    alive: bool | None = None
    starting: bool = False  # a process holds the lock, and the records do not know of it yet
    suspender: bool = False  # pause.flag is there
    progress: ProgressSnapshot | None = None  # of a living daemon's running trial, or of what it prepares
    problem: JournalError | None = None


class SnapshotReader:
    """Looks at the run at ``path`` again and again; a look at an unchanged run costs a few system calls."""

    def __init__(self, path: Path, now: Callable[[], datetime] = lambda: datetime.now().astimezone()) -> None:
        self.path = path
        self._now = now
        is_file = path.is_file()
        self._run_dir = None if is_file else path  # a bare file may lie anywhere: it has no lock and no flag
        self._follower = Follower(path if is_file else path / TRAJECTORY)
        self._chronicle = HistoryBuilder()
        self._told: tuple[History, Summary] | None = None
        self._watts: float | None = None

    def poll(self) -> Snapshot:
        """What there is to see now."""
        alive = self._is_alive()
        try:
            news = self._follower.poll()
        except JournalError as e:
            self._take(News(True, []))
            return Snapshot(self.path, self._now(), alive=alive, problem=e)
        self._take(news)
        # A daemon that began or ended between the two looks was alive beside the records that were read.
        return self._snapshot(alive or self._is_alive())

    def close(self) -> None:
        self._follower.close()

    def _take(self, news: News) -> None:
        if not news:
            return
        if news.anew:
            self._chronicle, self._told, self._watts = HistoryBuilder(), None, None
        for record in news.records:
            self._chronicle.add(record)
            if isinstance(record, TrialEnded):
                self._watts = watts_of(record)
        if self._chronicle.trajectory.meta:
            history = self._chronicle.history()
            self._told = history, summarise(history)

    def _snapshot(self, alive: bool | None) -> Snapshot:
        history, summary = self._told or (None, None)
        holder = self._holder() if alive else None
        started = self._chronicle.started
        starting = bool(alive and (started is None or started.pid != holder))
        return Snapshot(
            self.path,
            self._now(),
            history,
            summary,
            self._chronicle.trajectory.proposed,
            self._watts,
            alive,
            starting,
            bool(self._run_dir and os.path.lexists(self._run_dir / PAUSE_FLAG)),
            self._progress(holder, history, starting) if alive else None,
        )

    def _is_alive(self) -> bool | None:
        return is_locked(self._run_dir / LOCK) if self._run_dir else None

    def _holder(self) -> object:
        holder = lock_holder(self._run_dir / LOCK) if self._run_dir else None
        return holder.get("pid") if holder else None

    def _progress(self, holder: object, history: History | None, starting: bool) -> ProgressSnapshot | None:
        """What the file says, if it is of the daemon that lives and of the trial that runs."""
        shown = read_progress(self._run_dir) if self._run_dir else None
        if shown is None or shown.pid != holder:
            return None
        if shown.iter is None:
            return shown if starting else None
        open_trial = history.open_trial if history else None
        return shown if open_trial and open_trial.iter == shown.iter and not starting else None


def watts_of(record: TrialEnded) -> float | None:
    """What a trial drew on average while it trained, over the seconds that were metered."""
    train = record.power.get("train")
    return train.mean_w if train else None
