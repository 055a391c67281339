"""Start the tracking process, start it again after a failure, end it with the run. Never blocks the loop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from autoresearch.config.secrets import tracker_environ
from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer
from autoresearch.core.records import Event
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.child_log import open_child_log
from autoresearch.report.trackers.table import refuse_missing_tracker
from autoresearch.storage.run_dir import LOGS

PACKAGES = Path(__file__).parents[3]  # the directory that this package is imported from
INSTALLED = PACKAGES.name in ("site-packages", "dist-packages")  # where every interpreter looks by itself
MODULE = "autoresearch.daemon.tracking.child"
LOG = "track.log"
MAX_LOG_BYTES = 1 << 20
FIRST_WAIT_S, MAX_WAIT_S = 30.0, 1800.0  # before it is started again
MAX_STARTS = 10
FINISH_S = 60.0  # at the end of a run, to hand over what is left
POLL_S = 1.0


class Child(Protocol):
    """A started process and the pipe that tells it the end of the run."""

    def poll(self) -> int | None: ...

    def finish(self) -> None:
        """Tell it that the run is over."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait for its end at most so long; whether it has ended."""
        ...

    def kill(self) -> None: ...


class Tracking(Observer):
    """A context manager around a run with a setting ``track``. A failure is one message, and the run continues."""

    def __init__(
        self,
        settings: Settings,
        notify: Callable[[str], None],
        *,
        heartbeat: Callable[[str], None] = lambda _stopping: None,
        start: Callable[[], Child] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ``MissingPackage`` where the tool's library is not installed."""
        self._tool = str(settings.track)
        if start is None:
            refuse_missing_tracker(self._tool, f"track = {self._tool!r}")
        self._log = settings.run_dir / LOGS / LOG
        self._start = start or (lambda: start_child(self._tool, settings.run_dir, self._log, os.environ))
        self._notify, self._heartbeat, self._clock = notify, heartbeat, clock
        self._child: Child | None = None
        self._starts = 0
        self._next_start: float | None = None  # None: not before the run is opened, or given up
        self._reported = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let the child hand over the last candidates, for a minute at most."""
        child, self._child, self._next_start = self._child, None, None
        if child is None:
            return
        try:
            child.finish()
            deadline = self._clock() + FINISH_S
            while not (ended := child.wait(POLL_S)) and self._clock() < deadline:
                with suppress(Exception):
                    self._heartbeat("")
            if not ended:
                self._report(f"was not done {FINISH_S:g} s after the run; the next start continues")
            elif code := child.poll():
                self._report(f"ended with exit code {code}; the next start continues")
        except KeyboardInterrupt:  # the run is over: Ctrl-C ends the waiting
            pass
        finally:
            child.kill()

    def opened(self, trajectory: Trajectory) -> None:
        self._next_start = self._clock()
        self._look()

    def recorded(self, event: Event) -> None:
        self._look()

    def heartbeat(self, stop_reason: str) -> None:
        self._look()

    def _look(self) -> None:
        """Start the child where one is due; note its end."""
        if self._child is not None:
            if (code := self._child.poll()) is None:
                return
            self._child.kill()  # what it has left behind
            self._child = None
            self._failed(f"ended with exit code {code}")
        if self._next_start is not None and self._clock() >= self._next_start:
            self._next_start = None
            self._starts += 1
            try:
                self._child = self._start()
            except OSError as e:
                self._failed(f"cannot be started: {e.strerror or e}")

    def _failed(self, what: str) -> None:
        again = ""
        if self._starts < MAX_STARTS:
            wait_s = min(MAX_WAIT_S, FIRST_WAIT_S * 2.0 ** (self._starts - 1))
            self._next_start = self._clock() + wait_s
            again = f", and {self._tool} is tried again in {wait_s:g} s"
        self._report(f"{what}; the run continues{again}")

    def _report(self, what: str) -> None:
        """Report the first failure of this start; the log has every one."""
        if not self._reported:
            self._reported = True
            self._notify(f"track: the process for {self._tool} {what}; see {self._log}")


class _Process:
    def __init__(self, process: subprocess.Popen[bytes], pipe: int) -> None:
        self._process, self._pipe = process, pipe

    def poll(self) -> int | None:
        return self._process.poll()

    def finish(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def wait(self, seconds: float) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            return True
        return False

    def kill(self) -> None:
        """Kill it with the processes of its group: of W&B the service that its library starts."""
        self.finish()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.wait(POLL_S)


def start_child(tool: str, run_dir: Path, log: Path, environ: Mapping[str, str]) -> Child:
    """Start the process. Raises ``OSError``."""
    reading, writing = os.pipe()
    output = open_child_log(log, MAX_LOG_BYTES)
    path = [] if INSTALLED else [str(PACKAGES)]
    path += filter(None, [environ.get("PYTHONPATH")])
    env = tracker_environ(environ, tool) | {"OMP_NUM_THREADS": "1"}
    if path:
        env["PYTHONPATH"] = os.pathsep.join(path)
    try:
        words = (tool, str(run_dir.absolute()), str(reading), str(os.getpid()))
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE, *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=env,
            pass_fds=(reading,),
            start_new_session=True,  # Ctrl-C at the daemon's terminal must not reach it
        )
    except BaseException:
        os.close(writing)
        raise
    finally:
        os.close(reading)
        os.close(output)
    return _Process(process, writing)
