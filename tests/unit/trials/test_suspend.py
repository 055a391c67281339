"""The request to suspend: sent once; only a trial that trains is waited for."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from autoresearch.trials.suspend import StopRequest


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_it_is_sent_once_however_often_it_is_wanted(pipe: tuple[int, int]) -> None:
    stop_request = StopRequest(lambda: True, pipe[1])
    for _ in range(3):
        stop_request.send_if_wanted()
    assert os.read(pipe[0], 10) == b"\0"


def test_nothing_is_sent_while_it_is_not_wanted(pipe: tuple[int, int]) -> None:
    stop_request = StopRequest(lambda: False, pipe[1])
    stop_request.send_if_wanted()
    assert stop_request.sent_at is None
    assert stop_request.abort_reason(None) == ""


def test_a_trial_that_has_just_ended_counts_as_requested() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stop_request = StopRequest(lambda: True, writing, clock=lambda: 1000.0)
    stop_request.send_if_wanted()
    assert stop_request.sent_at == 1000.0, "the runner reads the child's exit next; there is nothing to send again"
    os.close(writing)


def test_a_trial_that_does_not_train_yet_is_not_waited_for(pipe: tuple[int, int]) -> None:
    stop_request = StopRequest(lambda: True, pipe[1])
    stop_request.send_if_wanted()
    assert stop_request.abort_reason(None) == "it had not begun to train"
    assert stop_request.abort_reason(0) == ""


def test_a_trial_that_hangs_is_waited_for_until_the_deadline(pipe: tuple[int, int]) -> None:
    now = 1000.0
    stop_request = StopRequest(lambda: True, pipe[1], deadline_s=60.0, clock=lambda: now)
    stop_request.send_if_wanted()
    now += 60.0
    assert stop_request.abort_reason(5) == ""
    now += 1
    assert stop_request.abort_reason(5) == "it did not stop within 60 s"
