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
from dataclasses import dataclass
from typing import Any, NoReturn

from autoresearch.core.measurement import Cause, Suspended
from autoresearch.core.ports import NEVER_SUSPENDED, Interrupted, OnProgress, SuspendControl
from autoresearch.errors import TrialServerError
from autoresearch.machine import available_bytes, reserve_bytes, resident_bytes, total_bytes
from autoresearch.trials.child_output import ChildOutput, drain
from autoresearch.trials.server import ServerLost, TrialServer
from autoresearch.trials.spec import Device
from autoresearch.trials.suspend import StopRequest, SuspendFailed

GUARD_INTERVAL_S = 0.1
DROP_DEADLINE_S = 5.0


@dataclass(slots=True)
class ChildRunner:
    """Forks one child for a request and follows it to its end. ``aborted`` is asked ten times a second."""

    server: TrialServer
    aborted: Callable[[], bool]

    def probe(self, device: str, trainer: str, deadline_s: float) -> Device:
        """What a child sees of the device. Raises ``TrialServerError``."""
        output, exit_code, _peak = self.run({"probe": device, "trainer": trainer}, lambda *_: None, None, deadline_s)
        answer = output.answer or {}
        if "device" in answer:
            return Device.model_validate_json(json.dumps(answer["device"]))
        why = answer.get("no_device") or output.stderr.decode(errors="replace")[-500:]
        raise TrialServerError(f"the device cannot be used (exit code {exit_code}): {why}", hint="try --device cpu")

    def run(
        self,
        request: dict[str, Any],
        on_progress: OnProgress,
        limit: int | None,
        deadline_s: float,
        suspend: SuspendControl = NEVER_SUSPENDED,
    ) -> tuple[ChildOutput, int | None, int | None]:
        """Fork, follow and reap one child: what it said, its exit code (``None``: lost with the server), its peak.

        Raises ``Interrupted``, and ``SuspendFailed`` where ``suspend`` requests it and it fails.
        """
        result_r, result_w = os.pipe()
        stderr_r, stderr_w = os.pipe()
        suspend_r, suspend_w = os.pipe()
        with contextlib.ExitStack() as stack:
            for fd in (result_r, stderr_r, suspend_w):
                stack.callback(os.close, fd)
                os.set_blocking(fd, False)
            theirs = (result_w, stderr_w, suspend_r)
            try:
                pid = self._fork(request, theirs)
            finally:
                for fd in theirs:
                    os.close(fd)
            output = ChildOutput(on_progress)
            guard = Guard(pid, time.monotonic() + deadline_s, deadline_s, limit, suspend.suspended_at)
            try:
                exit_code, peak = self._follow(
                    output, guard, StopRequest(suspend.requested, suspend_w), result_r, stderr_r
                )
            except ServerLost:
                exit_code, peak = None, None
            drain(result_r, output.hear)
            drain(stderr_r, output.note_stderr)
            return output, exit_code, peak

    def _fork(self, request: dict[str, Any], pipes: Sequence[int]) -> int:
        with contextlib.suppress(ServerLost):  # it had died since the last trial; one fresh start
            return self.server.fork(request, pipes, self.aborted)
        try:
            return self.server.fork(request, pipes, self.aborted)
        except ServerLost as e:
            hint = f"see {self.server.log}, and the system log for the OOM killer"
            raise TrialServerError("the trial server starts and is killed at once", hint=hint) from e

    def _drop(self, guard: Guard, because: Exception) -> NoReturn:
        """End the child at the user's wish, and the server with it if that is not seen within a few seconds."""
        guard.kill()
        try:
            if select.select([self.server], [], [], DROP_DEADLINE_S)[0]:
                self.server.child_exit()
            else:
                self.server.close()
        except ServerLost:
            pass  # gone is gone
        raise because

    def _follow(
        self, output: ChildOutput, guard: Guard, stop_request: StopRequest, result: int, stderr: int
    ) -> tuple[int, int]:
        """Until the child has ended: listen, and watch deadline, memory and the user's wish. Raises as ``run``."""
        with selectors.DefaultSelector() as selector:
            selector.register(result, selectors.EVENT_READ, output.hear)
            selector.register(stderr, selectors.EVENT_READ, output.note_stderr)
            selector.register(self.server, selectors.EVENT_READ)
            while True:
                for key, _events in selector.select(GUARD_INTERVAL_S):
                    if key.data is None:
                        return self.server.child_exit()
                    if not drain(key.fd, key.data):
                        selector.unregister(key.fd)
                if self.aborted():
                    self._drop(guard, Interrupted("stopped at once"))
                guard.count_earlier_parts(output.first_step)
                stop_request.send_if_wanted()
                if late := stop_request.abort_reason(output.step):
                    self._drop(guard, SuspendFailed(late, output.step))
                if output.killed_for is None and (why := guard.reason()):
                    output.killed_for = why
                    guard.kill()


@dataclass(slots=True)
class Guard:
    """Why a child must be killed now: its deadline, its memory, or the machine's."""

    pid: int
    deadline: float
    deadline_s: float
    limit: int | None
    before: Suspended | None = None

    def count_earlier_parts(self, step: int | None) -> None:
        """Take what the trial's earlier parts took off the deadline, once the child's first step shows that it goes on.

        One whose checkpoint cannot be used begins again, and has all of its time.
        """
        if step is None or self.before is None:
            return
        if self.before.resumes_at is not None and step >= self.before.resumes_at:
            self.deadline -= self.before.train_wall_s + self.before.val_wall_s
        self.before = None

    def reason(self) -> tuple[Cause, str] | None:
        if time.monotonic() > self.deadline:
            return Cause.TIMEOUT, f"not finished after {self.deadline_s:g} s"
        held = resident_bytes(self.pid)
        if self.limit is not None and held > self.limit:
            return Cause.OUT_OF_MEMORY, f"it held {held >> 20} MiB, {self.limit >> 20} MiB were allowed"
        left, floor = available_bytes(), reserve_bytes(total_bytes()) // 2
        if left < floor:
            # Not its fault alone: another process may have grown. So it is tried once more if proposed again.
            return Cause.KILLED, f"only {left >> 20} MiB were left to the machine while it held {held >> 20} MiB"
        return None

    def kill(self) -> None:
        """End the child and what it started. The pid is its own until the server has told its exit."""
        for end in (os.kill, os.killpg):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                end(self.pid, signal.SIGKILL)
