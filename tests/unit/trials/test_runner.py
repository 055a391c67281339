"""A trial's process is followed to its end, and ended at its deadline, at its memory limit and when interrupted."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

import pytest

from autoresearch.core.measurement import OUTCOME, Cause, Failure, Measurement, Outcome, Suspended
from autoresearch.core.ports import Interrupted
from autoresearch.errors import TrialServerError
from autoresearch.testing.fake_trial import measurement
from autoresearch.trials.ending import judge_end
from autoresearch.trials.requests import ProbeRequest, Request
from autoresearch.trials.runner import ChildRunner, Guard, open_pipes
from autoresearch.trials.server import ServerLost

MEASURED = json.dumps({"measured": measurement(3.3).model_dump(mode="json")}).encode() + b"\n"
IGNORE_PROGRESS = lambda *_: None  # noqa: E731

PROBE = ProbeRequest(device="cpu", trainer="torch")


class TestGuard:
    def test_a_child_within_its_bounds_is_left_alone(self) -> None:
        assert Guard(os.getpid(), deadline=float("inf"), deadline_s=1.0, limit=None).reason() is None

    @pytest.mark.parametrize(("step", "left_s"), [(None, 60.0), (0, 60.0), (7, 50.0), (9, 50.0)])
    def test_the_time_of_earlier_parts_is_deducted_once_it_resumes(self, step: int | None, left_s: float) -> None:
        before = Suspended(step=7, resumes_at=7, train_wall_s=9.0, val_wall_s=1.0)
        guard = Guard(os.getpid(), deadline=60.0, deadline_s=60.0, limit=None, before=before)
        for _ in range(2):
            guard.deduct_earlier_parts(step)
        assert guard.deadline == left_s

    def test_past_its_deadline(self) -> None:
        assert Guard(os.getpid(), deadline=0.0, deadline_s=300.0, limit=None).reason() == (
            Cause.TIMEOUT,
            "not finished after 300 s",
        )

    def test_above_its_memory(self) -> None:
        why = Guard(os.getpid(), deadline=float("inf"), deadline_s=1.0, limit=1 << 20).reason()
        assert why is not None
        assert why[0] == Cause.OUT_OF_MEMORY
        assert "1 MiB were allowed" in why[1]

    def test_one_that_progresses_gets_up_to_three_times_its_seconds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 0.0
        monkeypatch.setattr("time.monotonic", lambda: now)
        guard = Guard(os.getpid(), deadline=100.0, deadline_s=100.0, limit=None)
        while guard.reason() is None:
            guard.pace.note("train", 1 - 0.9**now, now)  # ever slower, and ever nearly done
            now += 1.0
        assert now == 301.0
        assert guard.reason() == (
            Cause.TIMEOUT,
            "not finished after 100 s and 200 s more, which it got because it progressed",
        )

    def test_one_that_would_not_finish_even_then_gets_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 0.0
        monkeypatch.setattr("time.monotonic", lambda: now)
        guard = Guard(os.getpid(), deadline=100.0, deadline_s=100.0, limit=None)
        while guard.reason() is None:
            guard.pace.note("train", now / 350, now)
            now += 1.0
        assert (now, guard.extended_s) == (101.0, 0.0)

    def test_a_child_that_has_ended_is_not_an_error(self) -> None:
        with subprocess.Popen([sys.executable, "-c", ""]) as child:
            child.wait()
            guard = Guard(child.pid, deadline=float("inf"), deadline_s=1.0, limit=1)
            assert guard.reason() is None
            guard.kill()


class Forks:
    """Where the trial server goes: a child that runs Python code and has the pipes as stdout, stderr and stdin."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.process: subprocess.Popen[bytes] | None = None

    def fork(self, _request: Request, pipes: Sequence[int], _aborted: Callable[[], bool]) -> int:
        result, stderr, suspend = pipes
        command = [sys.executable, "-c", self.code]
        self.process = subprocess.Popen(command, stdin=suspend, stdout=result, stderr=stderr, process_group=0)
        self.end = os.pidfd_open(self.process.pid)
        return self.process.pid

    def fileno(self) -> int:
        return self.end

    def child_exit(self) -> tuple[int, int]:
        assert self.process is not None
        return self.process.wait(), 0

    def close(self) -> None:
        self.closed = True

    @contextlib.contextmanager
    def closing(self) -> Iterator[None]:
        yield
        os.close(self.end)


def follow(code: str, deadline_s: float = 60.0, aborted: bool = False) -> Outcome:
    """The outcome of a child that runs ``code``."""
    server = Forks(code)
    runner = ChildRunner(server, lambda: aborted)  # type: ignore[arg-type]
    with server.closing():
        output, exit_code, peak = runner.run(PROBE, IGNORE_PROGRESS, None, deadline_s)
    return judge_end(output, exit_code, peak, 1.0, OUTCOME)


FLOOD = "import os\nwhile True: os.write({fd}, b'x' * 65536)"


class Stopped(Forks):
    """A server that does not report its child's end: it is stopped, or the child in an uninterruptible system call."""

    def fork(self, request: Request, pipes: Sequence[int], aborted: Callable[[], bool]) -> int:
        super().fork(request, pipes, aborted)
        assert self.process is not None
        self.silence = os.pipe()
        return self.process.pid

    def fileno(self) -> int:
        return self.silence[0]

    @contextlib.contextmanager
    def closing(self) -> Iterator[None]:
        with super().closing():
            yield
        for fd in self.silence:
            os.close(fd)
        assert self.process is not None
        self.process.wait(60)


class TestServerThatDoesNotReport:
    @pytest.fixture(autouse=True)
    def soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("autoresearch.trials.runner.KILL_DEADLINE_S", 0.3)

    def test_the_deadline_holds_and_the_server_is_replaced(self) -> None:
        server = Stopped("import time; time.sleep(600)")
        with server.closing():
            output, code, peak = ChildRunner(server, lambda: False).run(PROBE, IGNORE_PROGRESS, None, 0.2)  # type: ignore[arg-type]
        assert server.closed
        outcome = judge_end(output, code, peak, 1.0, OUTCOME)
        assert isinstance(outcome, Failure)
        assert (outcome.cause, outcome.exit_code) == (Cause.TIMEOUT, None)
        assert "not finished after 0.2 s; the trial server did not report its end and was replaced" in outcome.detail

    def test_the_users_second_signal_too(self) -> None:
        server, asked = Stopped("import time; time.sleep(600)"), iter([False])
        with server.closing(), pytest.raises(Interrupted):
            ChildRunner(server, lambda: next(asked, True)).run(PROBE, IGNORE_PROGRESS, None, 60.0)  # type: ignore[arg-type]
        assert server.closed

    def test_a_request_after_the_second_signal_never_starts(self) -> None:
        with pytest.raises(Interrupted):
            ChildRunner(None, lambda: True).run(PROBE, IGNORE_PROGRESS, None, 60.0)  # type: ignore[arg-type]


SLOWED = """
import json, time
for step in range({steps}):
    print(json.dumps({{"progress": ["train", step / {steps}, step, None]}}), flush=True)
    time.sleep(0.1)
print({measured!r}, flush=True)
"""


class TestExtendedDeadline:
    def test_a_slowed_child_that_would_finish_is_measured_and_that_is_recorded(self) -> None:
        outcome = follow(SLOWED.format(steps=22, measured=MEASURED.decode().strip()), deadline_s=2.0)
        assert isinstance(outcome, Measurement)
        assert outcome.deadline_extended_s is not None
        assert 0.1 <= outcome.deadline_extended_s <= 4.0

    def test_one_in_time_has_nothing_recorded(self) -> None:
        outcome = follow(SLOWED.format(steps=2, measured=MEASURED.decode().strip()))
        assert isinstance(outcome, Measurement)
        assert outcome.deadline_extended_s is None

    def test_one_that_stops_progressing_is_ended(self) -> None:
        code = SLOWED.format(steps=8, measured="").replace("print('', flush=True)", "time.sleep(600)")
        outcome = follow(code, deadline_s=1.0)
        assert isinstance(outcome, Failure)
        assert outcome.cause == Cause.TIMEOUT


class TestFollow:
    def test_a_child_that_answers(self) -> None:
        assert isinstance(follow(f"print({MEASURED.decode().strip()!r})"), Measurement)

    def test_everything_said_before_a_crash_is_heard(self) -> None:
        code = "import os, sys; os.write(2, b'x' * 50_000 + b'the end'); os.abort()"
        outcome = follow(code)
        assert isinstance(outcome, Failure)
        assert (outcome.cause, outcome.exit_code) == (Cause.CRASHED, -signal.SIGABRT)
        assert outcome.stderr_tail.endswith("the end")

    def test_closed_pipes_are_no_end(self) -> None:
        code = "import os, time; os.close(1); os.close(2); time.sleep(600)"
        outcome = follow(code, deadline_s=0.5)
        assert isinstance(outcome, Failure)
        assert outcome.cause == Cause.TIMEOUT

    @pytest.mark.parametrize("fd", [1, 2])
    def test_one_that_never_stops_talking_meets_its_deadline(self, fd: int) -> None:
        outcome = follow(FLOOD.format(fd=fd), deadline_s=0.5)
        assert isinstance(outcome, Failure)
        assert outcome.cause == Cause.TIMEOUT

    def test_what_it_started_ends_with_it(self) -> None:
        code = """if True:
            import os, sys
            helper = os.posix_spawnp("sleep", ["sleep", "600"], os.environ)
            print(helper, file=sys.stderr, flush=True)
            os.wait()
        """
        outcome = follow(code, deadline_s=1.0)
        assert isinstance(outcome, Failure)
        assert outcome.cause == Cause.TIMEOUT
        try:
            end = os.pidfd_open(int(outcome.stderr_tail))
        except ProcessLookupError:
            return  # gone, and reaped by whoever inherited it
        assert select.select([end], [], [], 60)[0], "what the trial had started outlived it"
        os.close(end)

    def test_a_server_that_dies_as_soon_as_it_starts_ends_the_run_with_a_reason(self) -> None:
        class Dies:
            log = "trial-server.log"
            forks = 0

            def fork(self, *_: object) -> int:
                self.forks += 1
                raise ServerLost("gone")

        server = Dies()
        with pytest.raises(TrialServerError, match="killed at once") as refusal:
            ChildRunner(server, lambda: False).run(PROBE, IGNORE_PROGRESS, None, 60.0)  # type: ignore[arg-type]
        assert server.forks == 2, "one fresh start, not a loop"
        assert "trial-server.log" in refusal.value.hint

    def test_one_that_never_stops_talking_can_be_interrupted(self) -> None:
        with pytest.raises(Interrupted):
            follow(FLOOD.format(fd=2), aborted=True)


def test_pipes_are_opened_together_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    files, pipe, opened = len(os.listdir("/proc/self/fd")), os.pipe, []

    def limited() -> tuple[int, int]:
        if len(opened) == 2:
            raise OSError(errno.EMFILE, "Too many open files")
        opened.append(1)
        return pipe()

    monkeypatch.setattr("os.pipe", limited)
    with pytest.raises(TrialServerError, match="RLIMIT_NOFILE"):
        open_pipes(3)
    assert len(os.listdir("/proc/self/fd")) == files
