"""The user's hand on a run: pause.flag, signals, and the times at which a night should end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from autoresearch.errors import AutoresearchError
from autoresearch.files import atomic_write
from autoresearch.window import Window

FLAG = "pause.flag"
NOW = b"now"  # in the flag: do not wait for the running trial
LOOK_AGAIN_S = 1.0  # where the kernel cannot watch the directory (network file systems, no inotify left)


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
    look: Callable[[], None] = lambda: None  # called wherever the run waits here
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

    def suspend_wanted(self) -> bool:
        """Whether the running trial is not to be waited for: "now" in the flag, or a signal that has waited enough."""
        if self._signal and self.drain_max_s is not None and self.clock() - self._signalled_at >= self.drain_max_s:
            return True
        return bool(self.pause_reason()) and (self.pauses_now or says_now(self.flag))

    def wait_while_paused(self) -> None:
        """Sleep until the flag is gone or a stop is wanted; woken by the kernel, not by polling, where that works."""
        with self._watching():
            while self.pause_reason() and not self.stop_reason():
                self.look()
                with suppress(Empty):
                    self._wake.get(timeout=LOOK_AGAIN_S)

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


def next_time(clock_time: str, now: datetime) -> datetime:
    """The next moment at which the local clock shows ``HH:MM``."""
    hour, minute = map(int, clock_time.split(":"))
    today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)


def says_now(flag: Path) -> bool:
    """Whether the flag asks for a pause inside the running trial; whatever else it is, a pipe too, does not."""
    with suppress(OSError):
        fd = os.open(flag, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.read(fd, len(NOW) + 1).strip() == NOW
        finally:
            os.close(fd)
    return False


def pause(run_dir: Path, now: bool = False) -> bool:
    """Put pause.flag into the run directory; false if it was there already and said what it should."""
    flag = run_dir / FLAG
    if os.path.lexists(flag) and (not now or says_now(flag)):
        return False
    try:
        if now:
            atomic_write(flag, NOW + b"\n")
        else:
            flag.touch()
    except OSError as e:
        raise AutoresearchError(f"cannot create {flag}: {e.strerror}", hint="is it the run's directory?") from e
    return True


def resume(run_dir: Path) -> bool:
    """Take pause.flag away; false if there was none. A directory of that name is removed only when empty."""
    flag = run_dir / FLAG
    try:
        with suppress(FileNotFoundError):
            flag.rmdir() if flag.is_dir() and not flag.is_symlink() else flag.unlink()
            return True
    except OSError as e:
        raise AutoresearchError(f"cannot remove {flag}: {e.strerror}", hint="remove it by hand") from e
    return False
