"""The brake: pulled once, and patient only with what trains."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from autoresearch.trials.suspend import SUSPEND_DEADLINE_S, StopRequest


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_it_asks_once_however_often_it_is_wanted(pipe: tuple[int, int]) -> None:
    stop_request = StopRequest(lambda: True, pipe[1])
    for _ in range(3):
        stop_request.send_if_wanted()
    assert os.read(pipe[0], 10) == b"\0"


def test_it_asks_nothing_while_nobody_wants_it(pipe: tuple[int, int]) -> None:
    stop_request = StopRequest(lambda: False, pipe[1])
    stop_request.send_if_wanted()
    assert stop_request.sent_at is None
    assert stop_request.abort_reason(None) == ""


def test_a_trial_that_is_gone_is_not_asked() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    StopRequest(lambda: True, writing).send_if_wanted()
    os.close(writing)


def test_what_does_not_train_yet_is_not_waited_for(pipe: tuple[int, int]) -> None:
    stop_request = StopRequest(lambda: True, pipe[1])
    stop_request.send_if_wanted()
    assert stop_request.abort_reason(None) == "it had not begun to train"
    assert stop_request.abort_reason(0) == ""


def test_what_hangs_is_not_waited_for_for_ever(pipe: tuple[int, int]) -> None:
    now = 1000.0
    stop_request = StopRequest(lambda: True, pipe[1], clock=lambda: now)
    stop_request.send_if_wanted()
    now += SUSPEND_DEADLINE_S
    assert stop_request.abort_reason(5) == ""
    now += 1
    assert "did not stop within" in stop_request.abort_reason(5)
