"""What a trial's process writes: progress and answer are read however the pipe cuts them, and memory is bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.measurement import OUTCOME, Cause, Failure, Measurement
from autoresearch.testing.fake_trial import measurement
from autoresearch.trials.child_output import MAX_MESSAGE_BYTES, ChildOutput, drain
from autoresearch.trials.ending import judge_end

MEASURED = json.dumps({"measured": measurement(3.3).model_dump(mode="json")}).encode() + b"\n"


IGNORE_PROGRESS = lambda *_: None  # noqa: E731


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


def test_a_child_that_writes_faster_than_it_is_read_does_not_hold_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.read", lambda _fd, size: b"x" * size)
    taken: list[bytes] = []
    assert drain(0, taken.append)
    assert 1 <= len(taken) < 1000
