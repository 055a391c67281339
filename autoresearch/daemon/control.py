"""When a run pauses or stops: pause.flag, signals, time limits and the energy limit."""

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

from autoresearch.config.local_time import format_clock, format_end
from autoresearch.config.window import Window
from autoresearch.storage.pause_flag import requests_immediate_pause

POLL_INTERVAL_S = 1.0  # needed where inotify does not work (network file systems, no watch left)


@dataclass(slots=True)
class RunControl:
    """Decides when to pause and when to stop. The first signal lets the running trial finish, the second does not."""

    flag: Path
    until: datetime | None = None
    max_hours: float | None = None
    pause_immediately: bool = False  # inside the running trial, also where the flag does not ask for it
    drain_max_s: float | None = None  # that a stop waits for the running trial
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = datetime.now
    window: Window | None = None  # hours of the local clock in which the run may work
    spent_reason: Callable[[], str] = lambda: ""  # why the energy limit ends the run; empty to continue
    poll: Callable[[], None] = lambda: None  # called ten times a second wherever the daemon waits
    heartbeat: Callable[[str], None] = lambda _stop_reason: None  # called with every poll
    elapsed_s: float = 0.0  # of ``max_hours``, before this control was made
    aborted: bool = False
    _signal: str = ""
    _signalled_at: float = 0.0
    _wake: SimpleQueue[None] = field(default_factory=SimpleQueue)  # unlike an Event, a signal handler may touch it
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock() - self.elapsed_s

    def stop_reason(self) -> str:
        """Why the run should stop now; empty to continue."""
        if self._signal:
            return self._signal
        if self.until is not None and self.now().timestamp() >= self.until.timestamp():
            return f"it is {format_clock(self.until)}"
        if self.max_hours is not None and self.clock() - self._began >= 3600 * self.max_hours:
            return f"{self.max_hours:g} hours are over"
        if self.window is not None and not self.window.is_open(now := self.now()):
            return f"it is {format_clock(now)}, and the window is {self.window}"
        return self.spent_reason()

    def describe_end(self) -> list[str]:
        """When the clock ends the run, in local time with its zone; empty where it does not."""
        now = self.now()
        ends = [f"ends {format_end(self.until, now)}"] if self.until is not None else []
        if self.window is not None and self.window.is_open(now):
            ends.append(f"window {self.window}: closes {format_end(self.window.next_closing(now), now)}")
        elif self.window is not None:
            ends.append(f"window {self.window}: opens {format_end(self.window.next_opening(now), now)}")
        return ends

    def ends_at(self) -> datetime | None:
        """When the clock ends the run, with its zone; ``None`` where it does not."""
        now = self.now()
        ends = [self.until] if self.until is not None else []
        if self.window is not None and self.window.is_open(now):
            ends.append(self.window.next_closing(now))
        first = min(ends, key=datetime.timestamp, default=None)
        return first.astimezone() if first is not None and first.tzinfo is None else first

    def pause_reason(self) -> str:
        """Why the run should pause. Any entry called pause.flag counts: a file, a directory, a dangling link."""
        return f"{self.flag.name} is there" if os.path.lexists(self.flag) else ""

    def must_abort(self) -> bool:
        """Whether the running trial should be killed now; called while a trial is waited for."""
        self._run_callbacks(self.stop_reason())
        return self.aborted

    def stop_or_pause_requested(self) -> bool:
        """Whether a stop or a pause is requested; called while an LLM is waited for."""
        stop_reason = self.stop_reason()
        self._run_callbacks(stop_reason)
        return bool(stop_reason or self.pause_reason())

    def _run_callbacks(self, stop_reason: str) -> None:
        with suppress(Exception):  # an error of a callback must not end the run
            self.poll()
        with suppress(Exception):
            self.heartbeat(stop_reason)

    def suspend_requested(self) -> bool:
        """Whether to suspend the running trial: a pause is immediate, or a signal has waited ``drain_max_s``."""
        if self._signal and self.drain_max_s is not None and self.clock() - self._signalled_at >= self.drain_max_s:
            return True
        return bool(self.pause_reason()) and (self.pause_immediately or requests_immediate_pause(self.flag))

    def wait_while_paused(self) -> None:
        """Block until the flag is removed or a stop is requested; inotify wakes it where available, else polling."""
        with self._watching():
            while self.pause_reason() and not self.stop_reason():
                self._run_callbacks("")
                with suppress(Empty):
                    self._wake.get(timeout=POLL_INTERVAL_S)

    def wait(self, seconds: float) -> None:
        """Block for that long, or until a stop is requested; a signal ends it at once."""
        ends = self.clock() + seconds
        while not self.stop_reason() and (left_s := ends - self.clock()) > 0:
            self._run_callbacks("")
            with suppress(Empty):
                self._wake.get(timeout=min(left_s, POLL_INTERVAL_S))

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
        """Handle SIGINT, SIGTERM and SIGHUP here; the previous handlers are restored afterwards."""
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {s: signal.signal(s, self.on_signal) for s in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        observer = None
        try:
            observer = Observer()
            observer.schedule(_Waker(self._wake), str(self.flag.parent))
            observer.start()
        except (OSError, RuntimeError):  # no inotify, or no thread can be started
            with suppress(RuntimeError):
                if observer is not None:
                    observer.unschedule_all()  # one of its threads may run
            yield  # polling every POLL_INTERVAL_S is enough
            return
        try:
            yield
        finally:
            observer.stop()
            observer.join()


class _Waker(FileSystemEventHandler):
    """Wakes the waiting loop when an entry of the directory is deleted or renamed."""

    def __init__(self, wake: SimpleQueue[None]) -> None:
        self._wake = wake

    def on_deleted(self, event: FileSystemEvent) -> None:
        self._wake.put(None)

    def on_moved(self, event: FileSystemEvent) -> None:
        self._wake.put(None)
