"""One measurement in a process of its own: whatever that process does, the answer is a Measurement or a Failure."""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import selectors
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import TypeAdapter, ValidationError

from autoresearch.brake import Brake, NotWaitedFor
from autoresearch.errors import TrialServerError
from autoresearch.files import open_log
from autoresearch.memory import available_bytes, reserve_bytes, resident_bytes, spare_bytes, total_bytes
from autoresearch.parts import ended_before_its_checkpoint, with_earlier_parts
from autoresearch.ports import NO_HOLD, Hold, Interrupted, OnProgress
from autoresearch.records import OUTCOME_OR_SUSPENDED, Cause, Cfg, Failure, Measurement, Outcome, Suspended
from autoresearch.training.spec import Device, TrialSpec
from autoresearch.training.speed import MatmulPeak, Speed, Timing
from autoresearch.trial_server import ServerLost, TrialServer

GUARD_INTERVAL_S = 0.1
DROP_DEADLINE_S = 5.0
KEPT_STDERR_BYTES = 1 << 16
KEPT_STDERR_FILES = 100
MAX_MESSAGE_BYTES = 1 << 20
ENDS = ("measured", "suspended", "failed")
RECORDED_STDERR_CHARS = 2000

SPEED: TypeAdapter[Speed | Failure] = TypeAdapter(Speed | Failure)
PEAK: TypeAdapter[MatmulPeak | Failure] = TypeAdapter(MatmulPeak | Failure)

T = TypeVar("T", Outcome | Suspended, Speed | Failure, MatmulPeak | Failure)


@dataclass(slots=True)
class Said:
    """What a running child has said so far, and why it was killed, if it was."""

    on_progress: OnProgress
    messages: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    answer: dict[str, Any] | None = None
    garbage: str = ""
    step: int | None = None  # the last that it has told of; none before it trains
    first_step: int | None = None  # the one that it told of first
    killed_for: tuple[Cause, str] | None = None

    def hear(self, data: bytes) -> None:
        """Take in bytes of the result pipe: JSON lines."""
        self.messages += data
        *lines, rest = self.messages.split(b"\n")
        self.messages = rest
        for line in lines:
            self._message(bytes(line))
        if len(rest) > MAX_MESSAGE_BYTES:
            self.garbage = f"a message of more than {MAX_MESSAGE_BYTES} bytes"
            self.messages.clear()

    def note_stderr(self, data: bytes) -> None:
        """Keep the last of what it wrote to stdout and stderr."""
        self.stderr += data
        del self.stderr[:-KEPT_STDERR_BYTES]

    def _message(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            if "progress" not in message:
                self.answer = dict(message)
                return
            progress = _progress(*message["progress"])
        except (ValueError, TypeError, OverflowError, RecursionError):
            self.garbage = ascii(line[:200])
            return
        self.step = progress[2]
        self.first_step = self.step if self.first_step is None else self.first_step
        self.on_progress(*progress)


def _progress(phase: str, fraction: float, step: int, speed: float | None) -> tuple[str, float, int, float | None]:
    """What a child says of its progress, made into what it should be. Raises for what cannot be shown."""
    if not (math.isfinite(fraction) and (speed is None or math.isfinite(speed))):
        raise ValueError("progress is finite")
    return str(phase), float(fraction), int(step), speed


@dataclass(slots=True)
class ForkedTrial:
    """The real thing behind the ``Trial`` port: a child of the warm server per measurement."""

    runner: ChildRunner
    spec: Callable[[Cfg, int], TrialSpec]
    deadline_s: float
    logs: Path
    checkpoint: Path  # the folder of the one trial that may be put aside
    memory_cap_bytes: int | None = None

    def measure(self, cfg: Cfg, seed: int, on_progress: OnProgress, hold: Hold = NO_HOLD) -> Outcome | Suspended:
        """See ``ports.Trial``. A server lost between trials is started again; lost during one, the trial failed."""
        spec, goes_on = self.spec(cfg, seed), hold.before is not None and hold.before.resumes_at is not None
        if not goes_on:  # whatever lies there is of a trial that has ended, or of one whose record was lost
            shutil.rmtree(self.checkpoint, ignore_errors=True)
        request = {"checkpoint": str(self.checkpoint), "goes_on": goes_on}
        began = time.monotonic()
        outcome: Outcome | Suspended
        try:
            outcome = self._in_child(spec, request, OUTCOME_OR_SUSPENDED, on_progress, hold)
        except NotWaitedFor as e:
            outcome = ended_before_its_checkpoint(e, hold.before, time.monotonic() - began)
        if isinstance(outcome, Measurement) and outcome.val_bytes != spec.span.bytes:
            detail = f"it scored {outcome.val_bytes} bytes, the span has {spec.span.bytes}"
            outcome = Failure(cause=Cause.GARBAGE, detail=detail, trial_wall_s=outcome.trial_wall_s)
        if not isinstance(outcome, Suspended):
            shutil.rmtree(self.checkpoint, ignore_errors=True)
        return with_earlier_parts(outcome, hold.before)

    def speed(self, cfg: Cfg, timing: Timing, on_progress: OnProgress) -> Speed | Failure:
        """How fast ``cfg`` trains, isolated as a trial is. Raises ``Interrupted``."""
        return self._in_child(self.spec(cfg, 0), {"timing": timing.model_dump(mode="json")}, SPEED, on_progress)

    def matmul_peak(self, cfg: Cfg) -> MatmulPeak | Failure:
        """The device's peak in the precision of ``cfg``. Raises ``Interrupted``."""
        return self._in_child(self.spec(cfg, 0), {"peak_of": cfg["precision"]}, PEAK, lambda *_: None)

    def _in_child(
        self,
        spec: TrialSpec,
        request: dict[str, Any],
        answers: TypeAdapter[T],
        on_progress: OnProgress,
        hold: Hold = NO_HOLD,
    ) -> T:
        limit = self.memory_limit()
        spec = spec.model_copy(update={"memory_limit_bytes": limit})
        rlimit = limit if spec.device == "cpu" else None
        request = {"trial": spec.model_dump(mode="json"), "memory_limit_bytes": rlimit, **request}
        began = time.monotonic()
        said, exit_code, peak = self.runner.run(request, on_progress, limit, self.deadline_s, hold)
        self._keep_stderr(said)
        return judge_end(said, exit_code, peak, time.monotonic() - began, answers)

    def memory_limit(self) -> int:
        """Bytes that a trial may take now: all that is available but the reserve, or the configured cap."""
        free = spare_bytes()
        return free if self.memory_cap_bytes is None else min(free, self.memory_cap_bytes)

    def _keep_stderr(self, said: Said) -> None:
        """What the child printed stays readable after it: one file per trial that printed anything, best effort."""
        if not said.stderr:
            return
        with contextlib.suppress(OSError):
            with os.fdopen(open_log(self.logs / f"trial-{time.time_ns()}.stderr"), "ab") as file:
                file.write(said.stderr)
            for old in sorted(self.logs.glob("trial-*.stderr"))[:-KEPT_STDERR_FILES]:
                old.unlink()


@dataclass(slots=True)
class ChildRunner:
    """Forks one child for a request and follows it to its end. ``aborted`` is asked ten times a second."""

    server: TrialServer
    aborted: Callable[[], bool]

    def probe(self, device: str, trainer: str, deadline_s: float) -> Device:
        """What a child sees of the device. Raises ``TrialServerError``."""
        said, exit_code, _peak = self.run({"probe": device, "trainer": trainer}, lambda *_: None, None, deadline_s)
        answer = said.answer or {}
        if "device" in answer:
            return Device.model_validate_json(json.dumps(answer["device"]))
        why = answer.get("no_device") or said.stderr.decode(errors="replace")[-500:]
        raise TrialServerError(f"the device cannot be used (exit code {exit_code}): {why}", hint="try --device cpu")

    def run(
        self,
        request: dict[str, Any],
        on_progress: OnProgress,
        limit: int | None,
        deadline_s: float,
        hold: Hold = NO_HOLD,
    ) -> tuple[Said, int | None, int | None]:
        """Fork, follow and reap one child: what it said, its exit code (``None``: lost with the server), its peak.

        Raises ``Interrupted``, and ``NotWaitedFor`` where ``hold`` wants it stops and it cannot.
        """
        result_r, result_w = os.pipe()
        stderr_r, stderr_w = os.pipe()
        wish_r, wish_w = os.pipe()
        with contextlib.ExitStack() as stack:
            for fd in (result_r, stderr_r, wish_w):
                stack.callback(os.close, fd)
                os.set_blocking(fd, False)
            theirs = (result_w, stderr_w, wish_r)
            try:
                pid = self._fork(request, theirs)
            finally:
                for fd in theirs:
                    os.close(fd)
            said = Said(on_progress)
            guard = Guard(pid, time.monotonic() + deadline_s, deadline_s, limit, hold.before)
            try:
                exit_code, peak = self._follow(said, guard, Brake(hold.wanted, wish_w), result_r, stderr_r)
            except ServerLost:
                exit_code, peak = None, None
            drain(result_r, said.hear)
            drain(stderr_r, said.note_stderr)
            return said, exit_code, peak

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

    def _follow(self, said: Said, guard: Guard, brake: Brake, result: int, stderr: int) -> tuple[int, int]:
        """Until the child has ended: listen, and watch deadline, memory and the user's wish. Raises as ``run``."""
        with selectors.DefaultSelector() as selector:
            selector.register(result, selectors.EVENT_READ, said.hear)
            selector.register(stderr, selectors.EVENT_READ, said.note_stderr)
            selector.register(self.server, selectors.EVENT_READ)
            while True:
                for key, _events in selector.select(GUARD_INTERVAL_S):
                    if key.data is None:
                        return self.server.child_exit()
                    if not drain(key.fd, key.data):
                        selector.unregister(key.fd)
                if self.aborted():
                    self._drop(guard, Interrupted("stopped at once"))
                guard.count_earlier_parts(said.first_step)
                brake.pull_if_wanted()
                if late := brake.reason_to_end_it(said.step):
                    self._drop(guard, NotWaitedFor(late, said.step))
                if said.killed_for is None and (why := guard.reason()):
                    said.killed_for = why
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


def judge_end(said: Said, exit_code: int | None, peak: int | None, wall_s: float, answers: TypeAdapter[T]) -> T:
    """Name how a child ended; ``answers`` reads what it measured, which counts only if it then exited with 0."""
    end = _named_end(said, exit_code, answers)
    if not isinstance(end, Failure):
        return end.model_copy(update={"trial_wall_s": wall_s})
    tail = said.stderr.decode(errors="replace")[-RECORDED_STDERR_CHARS:]
    known = {"trial_wall_s": wall_s, "peak_bytes": peak, "exit_code": exit_code, "stderr_tail": tail}
    return end.model_copy(update=known)


def _named_end(said: Said, exit_code: int | None, answers: TypeAdapter[T]) -> T:
    if said.killed_for is not None and exit_code in (None, -signal.SIGKILL):
        cause, detail = said.killed_for
        return Failure(cause=cause, detail=detail)
    if exit_code is None:
        return Failure(cause=Cause.KILLED, detail="the trial server was killed, and the trial with it")
    if exit_code < 0:
        return _signalled(-exit_code)
    if said.garbage:
        return Failure(cause=Cause.GARBAGE, detail=f"it answered {said.garbage}")
    if said.answer is None:
        return Failure(cause=Cause.EXITED, detail=f"it ended with exit code {exit_code} and without an answer")
    return _parsed(said.answer, exit_code, answers)


def _signalled(number: int) -> Failure:
    name = signal.Signals(number).name if number in list(signal.Signals) else f"signal {number}"
    if number in (signal.SIGKILL, signal.SIGTERM):
        return Failure(
            cause=Cause.KILLED, detail=f"ended from outside by {name} (the kernel's OOM killer uses SIGKILL)"
        )
    return Failure(cause=Cause.CRASHED, detail=f"ended by {name}")


def _parsed(answer: dict[str, Any], exit_code: int, answers: TypeAdapter[T]) -> T:
    try:
        end = answers.validate_json(json.dumps(next((answer[name] for name in ENDS if name in answer), None)))
    except (ValidationError, ValueError) as e:
        return Failure(cause=Cause.GARBAGE, detail=f"its answer is no measurement: {str(e).splitlines()[0]}")
    if not isinstance(end, Failure) and exit_code != 0:
        return Failure(cause=Cause.EXITED, detail=f"it measured, then ended with exit code {exit_code}")
    return end


def drain(fd: int, take: Callable[[bytes], None]) -> bool:
    """Read what is there without waiting; false once the other end is closed."""
    while True:
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            return True
        if not data:
            return False
        take(data)
