"""However a trial's process ends and whatever it prints: the outcome is a Measurement, or a Failure with its cause."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.measurement import OUTCOME, Cause, Failure, Measurement, Outcome, Suspended
from autoresearch.core.ports import Interrupted
from autoresearch.errors import TrialServerError
from autoresearch.testing.fake_trial import measurement
from autoresearch.trials.child_output import MAX_MESSAGE_BYTES, ChildOutput
from autoresearch.trials.ending import judge_end
from autoresearch.trials.requests import ProbeRequest, Request
from autoresearch.trials.runner import ChildRunner, Guard
from autoresearch.trials.server import ServerLost

MEASURED = json.dumps({"measured": measurement(3.3).model_dump(mode="json")}).encode() + b"\n"
FAILED = b'{"failed": {"ok": false, "cause": "non_finite_loss", "detail": "the loss became nan", "step": 7}}\n'
PROBE = ProbeRequest(device="cpu", trainer="torch")
IGNORE_PROGRESS = lambda *_: None  # noqa: E731


def output_of(*parts: bytes) -> ChildOutput:
    output = ChildOutput(IGNORE_PROGRESS)
    for part in parts:
        output.feed_messages(part)
    return output


def judged(*parts: bytes, exit_code: int | None = 0) -> Outcome:
    return judge_end(output_of(*parts), exit_code, peak=123, wall_s=4.5, answers=OUTCOME)


class TestEnds:
    def test_a_measurement_counts_from_a_process_that_ended_well(self) -> None:
        outcome = judged(MEASURED)
        assert outcome == measurement(3.3).model_copy(update={"trial_wall_s": 4.5})

    def test_a_failure_that_the_trainer_named_keeps_its_name_and_its_step(self) -> None:
        outcome = judged(FAILED)
        assert isinstance(outcome, Failure)
        assert (outcome.cause, outcome.step, outcome.detail) == (Cause.NON_FINITE_LOSS, 7, "the loss became nan")
        assert (outcome.trial_wall_s, outcome.peak_bytes, outcome.exit_code) == (4.5, 123, 0)

    @pytest.mark.parametrize(
        ("parts", "exit_code", "cause", "words"),
        [
            ([], 0, Cause.EXITED, "exit code 0 and without an answer"),
            ([], 3, Cause.EXITED, "exit code 3"),
            ([MEASURED[:-1]], 0, Cause.EXITED, "without an answer"),
            ([MEASURED], 3, Cause.EXITED, "measured, then ended with exit code 3"),
            ([MEASURED], -signal.SIGSEGV, Cause.CRASHED, "SIGSEGV"),
            ([MEASURED], -signal.SIGKILL, Cause.KILLED, "SIGKILL"),
            ([], -signal.SIGTERM, Cause.KILLED, "SIGTERM"),
            ([], -signal.SIGABRT, Cause.CRASHED, "SIGABRT"),
            ([], -50, Cause.CRASHED, "signal 50"),
            ([MEASURED], None, Cause.KILLED, "server"),
            ([b"loss 3.2\n"], 0, Cause.GARBAGE, "loss 3.2"),
            ([MEASURED, b"\xff\x1b[2J\n"], 0, Cause.GARBAGE, r"\xff\x1b[2J"),
            ([b"{}\n"], 0, Cause.GARBAGE, "not a measurement"),
            ([b'{"measured": {"ok": true, "val_bpb": 3.3}}\n'], 0, Cause.GARBAGE, "not a measurement"),
            ([MEASURED.replace(b"3.3", b"NaN")], 0, Cause.GARBAGE, "not a measurement"),
            ([MEASURED.replace(b"3.3", b"1e999")], 0, Cause.GARBAGE, "not a measurement"),
            ([MEASURED.replace(b'"val_bpb": 3.3', b'"val_bpb": true')], 0, Cause.GARBAGE, "not a measurement"),
            (
                [b'{"failed": {"ok": false, "cause": "bad mood", "detail": ""}}\n'],
                0,
                Cause.GARBAGE,
                "not a measurement",
            ),
            ([b"x" * (MAX_MESSAGE_BYTES + 1)], 0, Cause.GARBAGE, "more than"),
            ([b"[" * 100_000 + b"\n"], 0, Cause.GARBAGE, "[[["),
        ],
    )
    def test_everything_else_is_a_failure_with_its_cause(
        self, parts: list[bytes], exit_code: int | None, cause: Cause, words: str
    ) -> None:
        outcome = judged(*parts, exit_code=exit_code)
        assert isinstance(outcome, Failure)
        assert outcome.cause == cause
        assert words in outcome.detail
        assert len(outcome.detail) < 1000

    def test_what_it_was_killed_for_comes_first(self) -> None:
        late = output_of(MEASURED)
        late.kill_reason = (Cause.TIMEOUT, "not finished after 5 s")
        outcome = judge_end(late, -signal.SIGKILL, 123, 5.1, OUTCOME)
        assert isinstance(outcome, Failure)
        assert (outcome.cause, outcome.detail) == (Cause.TIMEOUT, "not finished after 5 s")

    def test_one_that_was_done_before_the_guard_struck_has_measured(self) -> None:
        just_in_time = output_of(MEASURED)
        just_in_time.kill_reason = (Cause.TIMEOUT, "not finished after 5 s")
        assert isinstance(judge_end(just_in_time, 0, 123, 5.0, OUTCOME), Measurement)

    def test_the_end_of_its_stderr_is_on_record(self) -> None:
        loud = output_of()
        loud.feed_stderr(b"x" * 10**6 + b"\xff the last words\n")
        outcome = judge_end(loud, -signal.SIGSEGV, None, 1.0, OUTCOME)
        assert isinstance(outcome, Failure)
        assert outcome.stderr_tail.endswith("the last words\n")
        assert len(outcome.stderr_tail) <= 2000

    @given(st.lists(st.binary() | st.sampled_from([MEASURED, FAILED, b"\n"])), st.none() | st.integers(-64, 255))
    def test_no_bytes_and_no_exit_code_raise(self, parts: list[bytes], exit_code: int | None) -> None:
        outcome = judged(*parts, exit_code=exit_code)
        assert OUTCOME.validate_json(outcome.model_dump_json()) == outcome


class TestFeed:
    @given(st.data())
    def test_it_does_not_matter_how_the_pipe_cuts_it(self, data: st.DataObject) -> None:
        whole = b'{"progress": ["train", 0.5, 10, 1000.0]}\n' * 3 + MEASURED
        cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
        seen: list[tuple[Any, ...]] = []
        output = ChildOutput(lambda *how: seen.append(how))
        for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            output.feed_messages(whole[begin:end])
        assert seen == [("train", 0.5, 10, 1000.0)] * 3
        assert isinstance(judge_end(output, 0, None, 1.0, OUTCOME), Measurement)

    @pytest.mark.parametrize(
        "progress",
        [
            *("5", '"train"', "[]", '["train", 0.5, 1]', '["train", "half", 1, null]', '["train", 0.5, 1, "fast"]'),
            *('["train", 0.5, 1e999, null]', '["train", NaN, 1, null]', '["train", 0.5, 1, 1e999]'),
            f'["train", {"9" * 400}, 1, null]',
        ],
    )
    def test_invalid_progress_is_garbage_and_is_not_shown(self, progress: str) -> None:
        seen: list[tuple[Any, ...]] = []
        output = ChildOutput(lambda *how: seen.append(how))
        output.feed_messages(b'{"progress": %s}\n' % progress.encode())
        assert seen == []
        outcome = judge_end(output, 0, None, 1.0, OUTCOME)
        assert isinstance(outcome, Failure)
        assert outcome.cause == Cause.GARBAGE

    def test_memory_is_bounded_for_any_output(self) -> None:
        output = ChildOutput(IGNORE_PROGRESS)
        for _ in range(100):
            output.feed_messages(b"x" * (MAX_MESSAGE_BYTES // 10))
            output.feed_stderr(b"x" * 100_000)
        assert len(output.messages) <= 1.2 * MAX_MESSAGE_BYTES
        assert len(output.stderr) < 100_000


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

    def test_a_child_that_has_ended_is_not_an_error(self) -> None:
        with subprocess.Popen([sys.executable, "-c", ""]) as child:
            child.wait()
            guard = Guard(child.pid, deadline=float("inf"), deadline_s=1.0, limit=1)
            assert guard.reason() is None
            guard.kill()


class Forks:
    """Replaces the trial server: a child that runs Python code and has the pipes as stdout, stderr and stdin."""

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


class TestFollow:
    def test_a_child_that_answers(self) -> None:
        assert isinstance(follow(f"print({MEASURED.decode().strip()!r})"), Measurement)

    def test_output_from_before_a_crash_is_kept(self) -> None:
        code = "import os, sys; os.write(2, b'x' * 50_000 + b'the end'); os.abort()"
        outcome = follow(code)
        assert isinstance(outcome, Failure)
        assert (outcome.cause, outcome.exit_code) == (Cause.CRASHED, -signal.SIGABRT)
        assert outcome.stderr_tail.endswith("the end")

    def test_closed_pipes_are_not_the_end(self) -> None:
        code = "import os, time; os.close(1); os.close(2); time.sleep(600)"
        outcome = follow(code, deadline_s=0.5)
        assert isinstance(outcome, Failure)
        assert outcome.cause == Cause.TIMEOUT

    @pytest.mark.parametrize("fd", [1, 2])
    def test_endless_output_ends_at_the_deadline(self, fd: int) -> None:
        outcome = follow(FLOOD.format(fd=fd), deadline_s=0.5)
        assert isinstance(outcome, Failure)
        assert outcome.cause == Cause.TIMEOUT

    def test_what_it_started_ends_with_it(self) -> None:
        code = """if True:
            import subprocess, sys
            helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            print(helper.pid, file=sys.stderr, flush=True)
            helper.wait()
        """
        outcome = follow(code, deadline_s=1.0)
        assert isinstance(outcome, Failure)
        assert outcome.cause == Cause.TIMEOUT
        try:
            end = os.pidfd_open(int(outcome.stderr_tail))
        except ProcessLookupError:
            return  # it has ended and its new parent has reaped it
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

    def test_endless_output_can_be_interrupted(self) -> None:
        with pytest.raises(Interrupted):
            follow(FLOOD.format(fd=2), aborted=True)
