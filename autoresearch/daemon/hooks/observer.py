"""Which records and which ends of a run are events, and who is told of them."""

from __future__ import annotations

import shlex
import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from autoresearch.config.settings import HookEvent, Settings
from autoresearch.core.loop import MAX_PROPOSER_FAILURES
from autoresearch.core.ports import Observer
from autoresearch.core.records import (
    EvalFailed,
    Evaluated,
    Event,
    LoopComplete,
    Paused,
    ProposerFailed,
    Stopped,
    decode,
)
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.hooks.notice import About, Notice, Surroundings, build_notice
from autoresearch.daemon.hooks.runner import Runner
from autoresearch.errors import AutoresearchError, LockHeld
from autoresearch.storage import journal
from autoresearch.storage.run_dir import LOGS, TRAJECTORY


class Hooks(Observer):
    """A watcher of one run, entered before it and left after it: how it is left decides between finished and died."""

    def __init__(
        self,
        settings: Settings,
        say: Callable[[str], None],
        tell: Callable[[Notice], None] | None = None,
        *,
        waits: Callable[[str], None] = lambda _stopping: None,
    ) -> None:
        """``waits`` is told each second that the last hooks are waited for."""
        command = command_of(settings)
        self._only = settings.on_event_only
        self._around = Surroundings(
            socket.gethostname(), str(settings.run_dir.absolute()), settings.profile, settings.iters
        )
        self._path = settings.run_dir / TRAJECTORY
        self._runner = Runner(command, settings.on_event_timeout_s, settings.run_dir / LOGS / "hooks.log", say)
        self._tell = tell or self._runner.start
        self._trajectory: Trajectory | None = None  # before the first record of this daemon
        self._waits = waits
        self._ending = ""
        if command and shutil.which(command[0]) is None:  # said, not refused: a lost script must not cost the night
            say(f"on_event: {command[0]} is not there or cannot be executed")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Tell how it ended, and give the last hooks their time. A report, where there is one, is written by now."""
        with suppress(Exception):  # whatever a hook does, the run has ended as it has ended
            if isinstance(error, Exception) and not isinstance(error, LockHeld):
                self._fire("died", words_of(error))
            elif error is None and self._ending:
                self._fire("died" if self._proposer_is_broken() else "finished", self._ending)
        self._runner.wait(lambda: self._waits(""))

    def recorded(self, event: Event) -> None:
        trajectory = self._add(event)
        match event:
            case Evaluated() if trajectory.best is event:
                self._fire("best", event.reason, event)
            case EvalFailed(cause=cause, reason=reason):
                self._fire("failed", f"{cause}: {reason}", event)
            case ProposerFailed(reason=reason):
                self._fire("failed", reason, event)
            case Paused(reason=reason):
                self._fire("paused", reason)
            case Stopped(reason=reason):
                self._ending = f"stopped: {reason}"
            case LoopComplete():
                self._ending = "complete"

    def _fire(self, event: HookEvent, reason: str, about: About | None = None) -> None:
        if event in self._only:
            now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            self._tell(build_notice(event, reason, self._known(), self._around, now, about))

    def _add(self, event: Event) -> Trajectory:
        """The records so far. The first one of this daemon brings those of earlier ones: it is in the file by now."""
        if self._trajectory is None:
            self._trajectory = self._on_disk() or Trajectory.fold([event])
        else:
            self._trajectory.add(event)
        return self._trajectory

    def _known(self) -> Trajectory:
        return self._trajectory or self._on_disk() or Trajectory()

    def _on_disk(self) -> Trajectory | None:
        with suppress(AutoresearchError):
            payloads = journal.read(self._path).payloads
            return Trajectory.fold(map(decode, payloads)) if payloads else None
        return None

    def _proposer_is_broken(self) -> bool:
        """Whether the loop gave up by itself: that is no end that somebody wished for."""
        last = self._known().iterations[-MAX_PROPOSER_FAILURES:]
        return len(last) == MAX_PROPOSER_FAILURES and all(isinstance(r, ProposerFailed) for r in last)


def words_of(error: Exception) -> str:
    """What went wrong, as the terminal would say it, or with the name of what nobody expected."""
    return error.what if isinstance(error, AutoresearchError) else f"{type(error).__name__}: {error}"


def command_of(settings: Settings) -> tuple[str, ...]:
    """The words of the command: a list as it is, a string cut as a shell would cut it; no shell runs it."""
    on_event = settings.on_event
    return tuple(shlex.split(on_event)) if isinstance(on_event, str) else on_event or ()
