"""Which records and which ends of a run are events for hooks."""

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
)
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.hooks.notice import Notice, RunInfo, Subject, build_notice
from autoresearch.daemon.hooks.runner import Runner
from autoresearch.daemon.run_reader import view_run
from autoresearch.daemon.run_text import describe_ending
from autoresearch.errors import AutoresearchError, LockHeld
from autoresearch.storage.run_dir import LOGS, TRAJECTORY


class Hooks(Observer):
    """Sends the events of one run to its hook. A context manager around the run: its exit is "finished" or "died"."""

    def __init__(
        self,
        settings: Settings,
        notify: Callable[[str], None],
        send: Callable[[Notice], None] | None = None,
        *,
        heartbeat: Callable[[str], None] = lambda _stopping: None,
    ) -> None:
        """``heartbeat`` is called each second while the last hooks are waited for."""
        command = command_of(settings)
        self._only = settings.on_event_only
        self._run = RunInfo(socket.gethostname(), str(settings.run_dir.absolute()), settings.profile, settings.iters)
        self._path = settings.run_dir / TRAJECTORY
        self._runner = Runner(command, settings.on_event_timeout_s, settings.run_dir / LOGS / "hooks.log", notify)
        self._send = send or self._runner.start
        self._trajectory: Trajectory | None = None  # the loop's, once the run is opened
        self._heartbeat = heartbeat
        self._ending = ""
        if command and shutil.which(command[0]) is None:  # not refused: a missing script must not prevent the run
            notify(f"on_event: {command[0]} does not exist or cannot be executed")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Send how the run ended and wait for the last hooks. The reports are written by now."""
        with suppress(Exception):  # an error here must not change how the run ended
            if isinstance(error, Exception) and not isinstance(error, LockHeld):
                self._fire("died", describe_error(error))
            elif error is None and self._ending:
                self._fire("died" if self._proposer_is_broken() else "finished", self._ending)
        self._runner.wait(lambda: self._heartbeat(""))

    def opened(self, trajectory: Trajectory) -> None:
        self._trajectory = trajectory

    def recorded(self, event: Event) -> None:
        match event:
            case Evaluated() if self._known().best is event:
                self._fire("best", event.reason, event)
            case EvalFailed(cause=cause, reason=reason):
                self._fire("failed", f"{cause}: {reason}", event)
            case ProposerFailed(reason=reason):
                self._fire("failed", reason, event)
            case Paused(reason=reason):
                self._fire("paused", reason)
            case Stopped(reason=reason):
                self._ending = describe_ending(reason)
            case LoopComplete():
                self._ending = "complete"

    def _fire(self, event: HookEvent, reason: str, about: Subject | None = None) -> None:
        if event in self._only:
            now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            self._send(build_notice(event, reason, self._known(), self._run, now, about))

    def _known(self) -> Trajectory:
        return self._trajectory or self._on_disk() or Trajectory()

    def _on_disk(self) -> Trajectory | None:
        with suppress(AutoresearchError):
            trajectory, _ = view_run(self._path)
            return trajectory if trajectory.meta else None
        return None

    def _proposer_is_broken(self) -> bool:
        """Whether the loop stopped because the proposer failed again and again, not because the user requested it."""
        last = self._known().results[-MAX_PROPOSER_FAILURES:]
        return len(last) == MAX_PROPOSER_FAILURES and all(r.stage == "proposer_failed" for r in last)


def describe_error(error: Exception) -> str:
    """What went wrong, as the terminal shows it; an unexpected one with its type."""
    return error.what if isinstance(error, AutoresearchError) else f"{type(error).__name__}: {error}"


def command_of(settings: Settings) -> tuple[str, ...]:
    """The command as words: a list unchanged, a string split like a shell does; no shell runs it."""
    on_event = settings.on_event
    return tuple(shlex.split(on_event)) if isinstance(on_event, str) else on_event or ()
