"""Run one request in a child of the trial server: fork, follow, guard, reap."""

from __future__ import annotations

import contextlib
import json
import os
import select
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from autoresearch.core.measurement import Cause, Suspended
from autoresearch.core.ports import NEVER_SUSPENDED, Interrupted, OnProgress, SuspendControl
from autoresearch.errors import TrialServerError
from autoresearch.machine import available_bytes, reserve_bytes, resident_bytes, total_bytes
from autoresearch.trials.child_output import ChildOutput, drain
from autoresearch.trials.messages import DEVICE, NO_DEVICE
from autoresearch.trials.pace import EXTENSION_FRAC, MAX_DEADLINE_FACTOR, Pace
from autoresearch.trials.requests import ProbeRequest, Request
from autoresearch.trials.server import ServerLost, TrialServer, cannot
from autoresearch.trials.spec import Device
from autoresearch.trials.suspend import SUSPEND_DEADLINE_S, StopRequest, SuspendFailed

GUARD_INTERVAL_S = 0.1
KILL_DEADLINE_S = 5.0


class RequestRunner(Protocol):
    """Has one request at a time done in a process of its own, on this machine or another."""

    @property
    def aborted(self) -> Callable[[], bool]:
        """Polled while the request runs: once it returns true, the process is ended."""
        ...

    def probe(self, device: str, trainer: str, deadline_s: float) -> Device:
        """See ``ChildRunner``."""
        ...

    def run(
        self,
        request: Request,
        on_progress: OnProgress,
        limit: int | None,
        deadline_s: float,
        suspend: SuspendControl = NEVER_SUSPENDED,
    ) -> tuple[ChildOutput, int | None, int | None]:
        """See ``ChildRunner``."""
        ...


def probe_device(runner: RequestRunner, device: str, trainer: str, deadline_s: float) -> Device:
    """The device as a child of ``runner`` sees it. Raises ``TrialServerError``."""
    request = ProbeRequest(device=device, trainer=trainer)
    output, exit_code, _peak = runner.run(request, lambda *_: None, None, deadline_s)
    answer = output.answer or {}
    if DEVICE in answer:
        return Device.model_validate_json(json.dumps(answer[DEVICE]))
    why = answer.get(NO_DEVICE) or output.stderr.decode(errors="replace")[-500:]
    raise TrialServerError(f"the device cannot be used (exit code {exit_code}): {why}", hint="try --device cpu")


@dataclass(slots=True)
class ChildRunner:
    """Forks one child per request and follows it to its end. ``aborted`` is called ten times a second."""

    server: TrialServer
    aborted: Callable[[], bool]
    suspend_deadline_s: float = SUSPEND_DEADLINE_S

    def probe(self, device: str, trainer: str, deadline_s: float) -> Device:
        """The device as a child sees it. Raises ``TrialServerError``."""
        return probe_device(self, device, trainer, deadline_s)

    def run(
        self,
        request: Request,
        on_progress: OnProgress,
        limit: int | None,
        deadline_s: float,
        suspend: SuspendControl = NEVER_SUSPENDED,
    ) -> tuple[ChildOutput, int | None, int | None]:
        """Fork, follow and reap one child: its output, exit code (``None``: lost with the server) and peak bytes.

        Raises ``Interrupted``, and ``SuspendFailed`` if ``suspend`` requests a suspension and the child cannot suspend.
        """
        if self.aborted():  # on a busy machine a short request could end before the first look at it
            raise Interrupted("stopped at once")
        (result_r, result_w), (stderr_r, stderr_w), (suspend_r, suspend_w) = open_pipes(3)
        with contextlib.ExitStack() as stack:
            for fd in (result_r, stderr_r, suspend_w):
                stack.callback(os.close, fd)
                os.set_blocking(fd, False)
            child_ends = (result_w, stderr_w, suspend_r)
            try:
                pid = self._fork(request, child_ends)
            finally:
                for fd in child_ends:
                    os.close(fd)
            output = ChildOutput(on_progress)
            guard = Guard(pid, time.monotonic() + deadline_s, deadline_s, limit, suspend.suspended_at)
            stop_request = StopRequest(suspend.requested, suspend_w, self.suspend_deadline_s)
            try:
                exit_code, peak = self._follow(output, guard, stop_request, result_r, stderr_r)
            except ServerLost:
                exit_code, peak = None, None
            drain(result_r, output.feed_messages)
            drain(stderr_r, output.feed_stderr)
            return output, exit_code, peak

    def _fork(self, request: Request, pipes: Sequence[int]) -> int:
        with contextlib.suppress(ServerLost):  # it died since the last trial: restart it once
            return self.server.fork(request, pipes, self.aborted)
        if self.aborted():
            raise Interrupted("stopped at once")
        try:
            return self.server.fork(request, pipes, self.aborted)
        except ServerLost as e:
            hint = f"see {self.server.log}, and the system log for the OOM killer"
            raise TrialServerError("the trial server starts and is killed at once", hint=hint) from e

    def _kill_and_raise(self, guard: Guard, error: Exception) -> NoReturn:
        """Kill the child, and the server too if it does not report the child's exit within a few seconds."""
        guard.kill()
        try:
            if select.select([self.server], [], [], KILL_DEADLINE_S)[0]:
                self.server.child_exit()
            else:
                self.server.close()
        except ServerLost:
            pass  # the child ended with it
        raise error

    def _follow(
        self, output: ChildOutput, guard: Guard, stop_request: StopRequest, result: int, stderr: int
    ) -> tuple[int, int]:
        """Read the child's output, check its limits and the user's requests, until it has ended. Raises as ``run``."""
        with selectors.DefaultSelector() as selector:
            selector.register(result, selectors.EVENT_READ, output.feed_messages)
            selector.register(stderr, selectors.EVENT_READ, output.feed_stderr)
            selector.register(self.server, selectors.EVENT_READ)
            while True:
                for key, _events in selector.select(GUARD_INTERVAL_S):
                    if key.data is None:
                        return self.server.child_exit()
                    if not drain(key.fd, key.data):
                        selector.unregister(key.fd)
                if self.aborted():
                    self._kill_and_raise(guard, Interrupted("stopped at once"))
                guard.deduct_earlier_parts(output.first_step)
                stop_request.send_if_wanted()
                if why_not := stop_request.abort_reason(output.step):
                    self._kill_and_raise(guard, SuspendFailed(why_not, output.step))
                self._kill_if_due(output, guard)

    def _kill_if_due(self, output: ChildOutput, guard: Guard) -> None:
        """Kill the child once it must be. Raises ``ServerLost`` where its end is not reported soon after that.

        The server may be stopped (SIGSTOP), or the child be in an uninterruptible system call: either way the next
        request gets a new server.
        """
        if output.kill_reason is None:
            guard.pace.note(output.phase, output.fraction, time.monotonic())
            output.kill_reason, output.extended_s = guard.reason(), guard.extended_s
            if output.kill_reason is not None:
                guard.kill()
        elif time.monotonic() > guard.killed_at + KILL_DEADLINE_S:
            cause, detail = output.kill_reason
            output.kill_reason = cause, f"{detail}; the trial server did not report its end and was replaced"
            self.server.close()
            raise ServerLost("the trial server did not report the child's end")


def open_pipes(count: int) -> list[tuple[int, int]]:
    """That many pipes, or none. Raises ``TrialServerError``."""
    pipes: list[tuple[int, int]] = []
    try:
        pipes.extend(os.pipe() for _ in range(count))  # those before a failure are in the list
    except OSError as e:
        for ends in pipes:
            for fd in ends:
                os.close(fd)
        raise cannot("no pipe to a trial can be opened", e) from e
    return pipes


@dataclass(slots=True)
class Guard:
    """Decides whether a child must be killed: by its deadline, its memory, or the machine's."""

    pid: int
    deadline: float
    deadline_s: float
    limit: int | None
    before: Suspended | None = None
    pace: Pace = field(default_factory=Pace)
    extended_s: float = 0.0  # by how much ``deadline`` was moved
    killed_at: float = 0.0
    held: Callable[[], int] | None = None  # bytes of a trial of several processes; of ``pid`` alone if not given

    def deduct_earlier_parts(self, step: int | None) -> None:
        """Deduct the time of the trial's earlier parts from the deadline once its first ``step`` shows that it resumed.

        A trial whose checkpoint cannot be used starts over and has its full time.
        """
        if step is None or self.before is None:
            return
        if self.before.resumes_at is not None and step >= self.before.resumes_at:
            self.deadline -= self.before.train_wall_s + self.before.val_wall_s
        self.before = None

    def reason(self) -> tuple[Cause, str] | None:
        """Why the child must be killed now, or ``None``."""
        if (now := time.monotonic()) > self.deadline and not self._extend(now):
            more = f" and {self.extended_s:.3g} s more, which it got because it progressed" if self.extended_s else ""
            return Cause.TIMEOUT, f"not finished after {self.deadline_s:g} s{more}"
        held = self.held() if self.held else resident_bytes(self.pid)
        if self.limit is not None and held > self.limit:
            return Cause.OUT_OF_MEMORY, f"it held {held >> 20} MiB, {self.limit >> 20} MiB were allowed"
        left, floor = available_bytes(), reserve_bytes(total_bytes()) // 2
        if left < floor:
            # KILLED, because another process may have grown instead: if proposed again, it is tried once more.
            return Cause.KILLED, f"only {left >> 20} MiB were left to the machine while it held {held >> 20} MiB"
        return None

    def _extend(self, now: float) -> bool:
        """Move the deadline of a child that progresses, to at most ``MAX_DEADLINE_FACTOR`` times its seconds."""
        step_s = EXTENSION_FRAC * self.deadline_s
        latest = self.deadline - self.extended_s + (MAX_DEADLINE_FACTOR - 1) * self.deadline_s
        if not self.pace.would_finish(now, latest, step_s):
            return False
        extended = min(latest, now + step_s)
        self.extended_s += extended - self.deadline
        self.deadline = extended
        return True

    def kill(self) -> None:
        """Kill the child and its process group. The pid is not reused before the server has reported its exit."""
        self.killed_at = time.monotonic()
        for end in (os.kill, os.killpg):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                end(self.pid, signal.SIGKILL)
