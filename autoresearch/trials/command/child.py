"""One run of a command in a session of its own, followed to its end: limits, output, and all of its processes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.core.measurement import Cause
from autoresearch.core.ports import Interrupted
from autoresearch.machine import PR_SET_PDEATHSIG
from autoresearch.trials.child_output import drain
from autoresearch.trials.command.output import Stream
from autoresearch.trials.command.process_tree import MARKER, held_bytes, kill_all, members
from autoresearch.trials.pace import Pace
from autoresearch.trials.runner import GUARD_INTERVAL_S, KILL_DEADLINE_S, Guard

GUARD_SHARE = 0.02  # of a core, at most: what looking at the processes may take
OOM_SCORE = b"1000"  # where memory is short, the kernel ends the trial and not the daemon
_LIBC = ctypes.CDLL(None, use_errno=True)


class CannotStart(Exception):
    """The command could not be started: the message names it and the reason."""


@dataclass(slots=True)
class Ended:
    """How a command ended."""

    exit_code: int | None = None  # negative: the signal that ended it; None: it could not even be killed
    wall_s: float = 0.0
    peak_bytes: int | None = None
    kill_reason: tuple[Cause, str] | None = None  # why the daemon killed it
    extended_s: float = 0.0
    leftover: int = 0  # processes that were left when it ended, and were killed
    stdout: Stream = field(default_factory=Stream)
    stderr: Stream = field(default_factory=Stream)


@dataclass(frozen=True, slots=True)
class Supervision:
    """What ends a command before its own end. ``aborted`` is called ten times a second."""

    deadline_s: float
    memory_limit: int | None
    aborted: Callable[[], bool] = lambda: False


def run_command(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    marker: str,
    limits: Supervision,
    on_stdout: Callable[[bytes], None] = lambda _data: None,
    pace: Pace | None = None,
) -> Ended:
    """Run a command to its end; no process of it is left. Raises ``CannotStart``, and ``Interrupted`` if aborted.

    It has no terminal and an empty stdin, is killed when this process dies, and with it whatever it started.
    """
    began = time.monotonic()
    process = _start(argv, {**env, MARKER: marker}, cwd)
    ended = Ended()
    follower = _Follower(process, marker, limits, ended, on_stdout)
    try:
        follower.follow(pace or Pace())
    finally:
        follower.close()
        ended.wall_s = time.monotonic() - began
    return ended


def _start(argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def prepare() -> None:  # in the child, before the command
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        with contextlib.suppress(OSError):
            oom = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
            os.write(oom, OOM_SCORE)
            os.close(oom)

    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            preexec_fn=prepare,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as e:
        raise CannotStart(f"cannot start {argv[0]}: {_reason(e, argv[0], cwd)}") from e


def _reason(error: Exception, program: str, cwd: Path) -> str:
    if not isinstance(error, OSError):
        return str(error)
    if not cwd.is_dir():
        return f"the directory {cwd} does not exist"
    if isinstance(error, PermissionError):
        return f"{error.strerror}: it is not executable by this user"
    return error.strerror or str(error)


class _Follower:
    """Follows one process: reads its output, watches its limits, and ends all that is left of it."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        marker: str,
        limits: Supervision,
        ended: Ended,
        on_stdout: Callable[[bytes], None],
    ) -> None:
        self.process, self.marker, self.limits, self.ended = process, marker, limits, ended
        self.on_stdout = on_stdout
        self.guard_at, self.held = 0.0, 0
        deadline = time.monotonic() + limits.deadline_s
        self.guard = Guard(process.pid, deadline, limits.deadline_s, limits.memory_limit, held=lambda: self.held)
        self.pidfd = os.pidfd_open(process.pid)
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)

    def follow(self, pace: Pace) -> None:
        """Until the command has ended or was killed. Raises ``Interrupted``."""
        self.guard.pace = pace
        with selectors.DefaultSelector() as selector:
            for fd, take in self._outputs():
                selector.register(fd, selectors.EVENT_READ, take)
            selector.register(self.pidfd, selectors.EVENT_READ)
            while True:
                ready = selector.select(GUARD_INTERVAL_S)
                for key, _events in ready:
                    if key.data is not None and not drain(key.fd, key.data):
                        selector.unregister(key.fd)
                if any(key.data is None for key, _events in ready):
                    return
                if self.limits.aborted():
                    raise Interrupted("stopped at once")
                if self._is_due_to_end():
                    return

    def _outputs(self) -> list[tuple[int, Callable[[bytes], None]]]:
        out, err = self.process.stdout, self.process.stderr
        assert out is not None
        assert err is not None
        return [(out.fileno(), self._take_stdout), (err.fileno(), self.ended.stderr.feed)]

    def _take_stdout(self, data: bytes) -> None:
        self.ended.stdout.feed(data)
        self.on_stdout(data)

    def _is_due_to_end(self) -> bool:
        """Whether a limit ends the command now; its memory is read as often as ``GUARD_SHARE`` allows."""
        now = time.monotonic()
        if now >= self.guard_at:
            self.held = held_bytes(members(self.process.pid, self.marker))
            self.ended.peak_bytes = max(self.held, self.ended.peak_bytes or 0) or None
            took_s = time.monotonic() - now
            self.guard_at = now + max(GUARD_INTERVAL_S, took_s / GUARD_SHARE)
        self.ended.kill_reason, self.ended.extended_s = self.guard.reason(), self.guard.extended_s
        return self.ended.kill_reason is not None

    def close(self) -> None:
        """Kill what is left, read the rest of the output, and reap the command."""
        was_running = not select.select([self.pidfd], [], [], 0)[0]
        found = kill_all(self.process.pid, self.marker)
        self.ended.leftover = 0 if was_running else found
        select.select([self.pidfd], [], [], KILL_DEADLINE_S)
        for fd, take in self._outputs():
            drain(fd, take)
        self._reap()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        os.close(self.pidfd)

    def _reap(self) -> None:
        """Take the exit code and the largest memory. A process that cannot be killed is left to the kernel."""
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if pid == 0:
            self.process.returncode = -signal.SIGKILL  # Python must not wait for it
            return
        code = os.waitstatus_to_exitcode(status)
        self.process.returncode = self.ended.exit_code = code
        self.ended.peak_bytes = max(self.ended.peak_bytes or 0, usage.ru_maxrss * 1024) or None
