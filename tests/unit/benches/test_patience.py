"""When an attempt is made again, and when the server is not waited for any longer."""

from __future__ import annotations

import pytest

from autoresearch.benches.patience import Patience
from autoresearch.core.llm_calls import ANSWERED, Classification
from tests.engine_world import Clock

A, B = ("a", 0), ("b", 0)


def test_three_failures_in_a_row_begin_a_wait_that_doubles() -> None:
    clock = Clock()
    patience = Patience(1e9, clock)
    waits = []
    for _ in range(7):
        assert patience.failed(A, "server_error", "oops")
        waits.append(patience.remaining_cooldown_s())
        clock.now += waits[-1]
    assert waits == [0, 0, 60, 120, 240, 480, 900]
    assert patience.is_failing
    assert not patience.over


def test_a_server_that_names_a_longer_time_is_given_it() -> None:
    patience = Patience(1e9, Clock())
    patience.failed(A, "rate_limited", "429", 300.0)
    assert patience.remaining_cooldown_s() == 300
    assert not patience.over


def test_a_success_ends_the_failing() -> None:
    patience = Patience(0, Clock())
    for _ in range(9):
        patience.failed(A, "unreachable", "x")
        patience.failed(A, "unreachable", "x")
        patience.succeeded(B)
    assert not patience.over
    assert not patience.is_failing


@pytest.mark.parametrize("cause", ["unreachable", "server_error", "timeout", "malformed_response", "model_gone"])
def test_it_is_over_once_the_next_wait_would_pass_the_limit(cause: str) -> None:
    clock = Clock()
    patience = Patience(180, clock)
    for _ in range(4):
        patience.failed(A, cause, "x")
        assert not patience.over
        clock.now += patience.remaining_cooldown_s()
    patience.failed(A, cause, "x")
    assert patience.over == f"{cause}: x"


def test_rejections_in_a_row_end_it_at_once() -> None:
    patience = Patience(1e9, Clock())
    assert [patience.failed((str(i), 0), "request_rejected", "401") for i in range(3)] == [False] * 3
    assert patience.over == "request_rejected: 401"


def test_an_attempt_is_given_up_only_while_others_succeed() -> None:
    patience = Patience(1e9, Clock())
    assert all(patience.failed(A, "timeout", "x") for _ in range(5))
    patience.succeeded(B)
    assert not patience.failed(A, "timeout", "x")


def test_an_error_of_our_own_says_nothing_about_the_server() -> None:
    patience = Patience(0, Clock())
    assert not any(patience.failed(A, "internal_error", "x") for _ in range(9))
    assert not patience.over
    assert not patience.is_failing


def test_a_cause_of_a_suites_own_is_a_failure_like_another() -> None:
    patience = Patience(0, Clock())
    assert all(patience.failed(A, "the retriever is away", "x") for _ in range(3))
    assert patience.over == "the retriever is away: x"


def test_every_cause_that_a_chat_can_name_is_counted() -> None:
    for cause in set(Classification) - ANSWERED - {Classification.CONTEXT_LENGTH_EXCEEDED}:
        patience = Patience(0, Clock())
        for _ in range(3):
            patience.failed(A, cause, "x")
        assert patience.over
