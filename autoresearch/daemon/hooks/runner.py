"""Start a hook without waiting for it; its supervisor process enforces the time limit and writes the log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from autoresearch.config.secrets import without_secrets
from autoresearch.daemon.child_log import open_child_log
from autoresearch.daemon.hooks import supervise
from autoresearch.daemon.hooks.notice import Notice

MAX_RUNNING = 4
MAX_LOG_BYTES = 1 << 20  # of hooks.log, and of the renamed one before it
POLL_S = 1.0
GRACE_S = 5.0  # for a supervisor to kill a hook that does not end by itself
FAILURES = {supervise.TIMED_OUT: "took too long and was ended", supervise.NOT_STARTED: "cannot be started"}


@dataclass(slots=True)
class Runner:
    """Running hooks by name; those that ended are reaped when the next one starts, without waiting."""

    command: Sequence[str]
    timeout_s: float
    log: Path
    notify: Callable[[str], None]
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    max_log_bytes: int = MAX_LOG_BYTES
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _count: int = 0

    def start(self, notice: Notice) -> None:
        """Start the hook with ``notice``, or notify the user where too many still run. Never raises or blocks."""
        self._reap()
        if len(self._running) >= MAX_RUNNING:
            self.notify(f"on_event: {MAX_RUNNING} hooks are still running, so no hook is started for: {notice.message}")
            return
        self._count += 1
        try:
            self._running[f"{notice.event} (no. {self._count})"] = self._child(notice)
        except OSError as e:
            self.notify(f"on_event: cannot start a process: {e.strerror}")

    def wait(self, heartbeat: Callable[[], None] = lambda: None) -> None:
        """At the end of a run, wait for the last hooks, no longer than a hook may take.

        ``heartbeat`` is called each second, for a service manager that would otherwise assume a hang.
        """
        deadline = time.monotonic() + self.timeout_s + GRACE_S
        with suppress(KeyboardInterrupt):  # the run is over: Ctrl-C ends the waiting
            for child in self._running.values():
                while child.poll() is None and (left_s := deadline - time.monotonic()) > 0:
                    with suppress(Exception):
                        heartbeat()
                    with suppress(subprocess.TimeoutExpired):
                        child.wait(min(POLL_S, left_s))
        self._reap()

    def _reap(self) -> None:
        for name, child in list(self._running.items()):
            code = child.poll()
            if code is None:
                continue
            del self._running[name]
            if code:
                why = FAILURES.get(code, f"ended with exit code {code}")
                self.notify(f"on_event: the hook for {name} {why}; see {self.log}")

    def _child(self, notice: Notice) -> subprocess.Popen[bytes]:
        """Start the supervisor. Its stdin is a file in memory: writing it neither blocks nor needs disk space."""
        event = os.memfd_create("event")
        log = open_child_log(self.log, self.max_log_bytes)
        try:
            os.write(event, json.dumps(asdict(notice), allow_nan=False).encode() + b"\n")
            os.lseek(event, 0, os.SEEK_SET)
            words = (str(self.timeout_s), notice.event, *self.command)
            return subprocess.Popen(
                [sys.executable, "-I", "-S", supervise.__file__, *words],
                stdin=event,
                stdout=log,
                stderr=log,
                env=without_secrets(self.environ),
                start_new_session=True,  # Ctrl-C at the daemon's terminal must not reach it
            )
        finally:
            os.close(event)
            os.close(log)
