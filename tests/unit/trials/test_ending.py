"""However a trial's process ends and whatever it wrote: the answer is a Measurement, or a Failure with its cause."""

from __future__ import annotations

import json
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.measurement import OUTCOME, Cause, Failure, Measurement, Outcome
from autoresearch.testing.fake_trial import measurement
from autoresearch.trials.child_output import MAX_MESSAGE_BYTES, ChildOutput
from autoresearch.trials.ending import judge_end, sealed_value

MEASURED = json.dumps({"measured": measurement(3.3).model_dump(mode="json")}).encode() + b"\n"


FAILED = b'{"failed": {"ok": false, "cause": "non_finite_loss", "detail": "the loss became nan", "step": 7}}\n'


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


@pytest.mark.parametrize(
    ("sealed", "value"),
    [("1.5", 1.5), ("0.0", None), ("-1.5", None), ("1e999", None), ("NaN", None), ('"1.5"', None), ("[]", None)],
)
def test_a_sealed_value_is_a_number_of_bits_or_nothing(sealed: str, value: float | None) -> None:
    line = MEASURED[:-2] + f', "sealed": {sealed}}}\n'.encode()
    assert sealed_value(output_of(line)) == value
    assert judged(line) == judged(MEASURED), "it is no part of the measurement, and its garbage harms nothing"


def test_without_a_vault_nothing_is_sealed() -> None:
    assert sealed_value(output_of(MEASURED)) is None
    assert sealed_value(output_of()) is None
