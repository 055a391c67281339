"""The user's hand on a run: pause.flag, signals, and the times at which a night should end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from autoresearch.config.window import Window
from autoresearch.storage.pause_flag import requests_immediate_pause

POLL_INTERVAL_S = 1.0  # where the kernel cannot watch the directory (network file systems, no inotify left)


@dataclass(slots=True)
class RunControl:
    """Says when to pause and when to stop. The first signal lets the running trial finish, the second does not."""

    flag: Path
    until: datetime | None = None
    max_hours: float | None = None
    pauses_now: bool = False  # whatever the flag says
    drain_max_s: float | None = None
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = datetime.now
    window: Window | None = None  # in which the local clock lets it work
    spent: Callable[[], str] = lambda: ""  # why the run has used up what it may; empty to go on
    poll: Callable[[], None] = lambda: None  # called ten times a second wherever the daemon waits
    heartbeat: Callable[[str], None] = lambda _stopping: None  # so is this, with the reason to stop
    aborted: bool = False
    _signal: str = ""
    _signalled_at: float = 0.0
    _wake: SimpleQueue[None] = field(default_factory=SimpleQueue)  # unlike an Event, a signal handler may touch it
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    def stop_reason(self) -> str:
        """Why to end now; empty to go on."""
        if self._signal:
            return self._signal
        if self.until is not None and self.now() >= self.until:
            return f"it is {self.until:%H:%M}"
        if self.max_hours is not None and self.clock() - self._began >= 3600 * self.max_hours:
            return f"{self.max_hours:g} hours are over"
        if self.window is not None and not self.window.is_open(now := self.now()):
            return f"it is {now:%H:%M}, and the window is {self.window}"
        return self.spent()

    def pause_reason(self) -> str:
        """Anything called pause.flag pauses: a file, a directory, a dangling link."""
        return f"{self.flag.name} is there" if os.path.lexists(self.flag) else ""

    def must_abort(self) -> bool:
        """Asked by whoever waits for a trial: whether to end it now."""
        self._poll(self.stop_reason())
        return self.aborted

    def stop_or_pause_requested(self) -> bool:
        """Asked by whoever waits for an LLM: whether the user wants anything."""
        stopping = self.stop_reason()
        self._poll(stopping)
        return bool(stopping or self.pause_reason())

    def _poll(self, stopping: str) -> None:
        with suppress(Exception):  # whoever looks on cannot stop the run
            self.poll()
        with suppress(Exception):
            self.heartbeat(stopping)

    def suspend_requested(self) -> bool:
        """Whether the running trial is not to be waited for: "now" in the flag, or a signal that has waited enough."""
        if self._signal and self.drain_max_s is not None and self.clock() - self._signalled_at >= self.drain_max_s:
            return True
        return bool(self.pause_reason()) and (self.pauses_now or requests_immediate_pause(self.flag))

    def wait_while_paused(self) -> None:
        """Sleep until the flag is gone or a stop is wanted; woken by the kernel, not by polling, where that works."""
        with self._watching():
            while self.pause_reason() and not self.stop_reason():
                self._poll("")
                with suppress(Empty):
                    self._wake.get(timeout=POLL_INTERVAL_S)

    def on_signal(self, number: int, _frame: FrameType | None = None) -> None:
        """Signal handler: stop after the running trial; at the second signal, at once.

        SIGHUP never counts as the second: a closing terminal sends it twice (the shell and the kernel do).
        """
        self.aborted = self.aborted or (bool(self._signal) and number != signal.SIGHUP)
        if not self._signal:
            self._signal, self._signalled_at = signal.Signals(number).name, self.clock()
        self._wake.put(None)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """SIGINT, SIGTERM and SIGHUP come here; afterwards they go where they went before."""
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {s: signal.signal(s, self.on_signal) for s in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        observer = Observer()
        try:
            observer.schedule(_Waker(self._wake), str(self.flag.parent))
            observer.start()
        except OSError:
            yield  # no inotify: LOOK_AGAIN_S does it alone
            return
        try:
            yield
        finally:
            observer.stop()
            observer.join()


class _Waker(FileSystemEventHandler):
    """Wakes the waiting loop when something in the directory goes or changes its name."""

    def __init__(self, wake: SimpleQueue[None]) -> None:
        self._wake = wake

    def on_deleted(self, event: FileSystemEvent) -> None:
        self._wake.put(None)

    def on_moved(self, event: FileSystemEvent) -> None:
        self._wake.put(None)
