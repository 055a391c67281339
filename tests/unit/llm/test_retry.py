from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.llm_calls import ANSWERED
from autoresearch.core.llm_calls import Classification as End
from autoresearch.llm.answer import Answer
from autoresearch.llm.retry import (
    BACKOFF_S,
    FAILURES_TO_OPEN,
    FIRST_COOLDOWN_S,
    MAX_COOLDOWN_S,
    MAX_TRIES,
    RETRYABLE,
    CircuitBreaker,
    ask_with_retries,
)

FINE = Answer(End.OK)
BUSY = Answer(End.SERVER_ERROR)
HARMLESS = [*ANSWERED, End.CONTEXT_LENGTH_EXCEEDED]
BAD = [end for end in End if end not in HARMLESS]


class Clock:
    """Time that passes only by being slept through."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


class TestAskWithRetries:
    def ask(self, clock, *answers, takes_s=0.0, deadline_s=60.0):
        """The answer, and the seconds that were left at each try."""
        left, script = [], list(answers)

        def try_once(left_s):
            left.append(left_s)
            clock.sleep(takes_s)
            return script.pop(0)

        return ask_with_retries(try_once, deadline_s, clock.sleep, clock=clock), left

    def test_an_answer_ends_the_call(self, clock):
        answer, left = self.ask(clock, FINE, takes_s=2)
        assert (answer.tries, answer.latency_s, left) == (1, 2, [60])

    def test_waits_double_and_count(self, clock):
        answer, left = self.ask(clock, BUSY, BUSY, FINE, takes_s=2)
        assert (answer.classification, answer.tries) == (End.OK, 3)
        assert left == [60, 58 - BACKOFF_S, 56 - 3 * BACKOFF_S]
        assert answer.latency_s == 6 + 3 * BACKOFF_S

    def test_the_number_of_tries_is_bounded(self, clock):
        answer, left = self.ask(clock, *[BUSY] * 9)
        assert (answer.classification, answer.tries, len(left)) == (End.SERVER_ERROR, MAX_TRIES, MAX_TRIES)

    @pytest.mark.parametrize("end", [end for end in End if end not in RETRYABLE])
    def test_a_failure_that_is_not_retryable_ends_the_call(self, clock, end):
        assert self.ask(clock, Answer(end), FINE)[0] == Answer(end)

    def test_the_backoff_can_be_passed_in(self, clock):
        left = []

        def try_once(left_s):
            left.append(left_s)
            return BUSY

        ask_with_retries(try_once, 60.0, clock.sleep, backoff_s=7.0, clock=clock)
        assert left == [60, 53, 39]

    def test_a_retry_after_takes_precedence_over_the_backoff(self, clock):
        _, left = self.ask(clock, Answer(End.RATE_LIMITED, retry_after_s=20), FINE)
        assert left == [60, 40]

    def test_a_retry_after_beyond_the_deadline_ends_the_call_at_once(self, clock):
        answer, left = self.ask(clock, Answer(End.RATE_LIMITED, retry_after_s=60), FINE)
        assert (answer.classification, answer.latency_s, left) == (End.RATE_LIMITED, 0, [60])

    @given(
        st.lists(st.sampled_from([None, 0.0, 0.5, 7.0, 1e9]), min_size=3, max_size=3),
        st.floats(0, 5),
        st.floats(0.1, 30),
    )
    def test_no_try_begins_past_the_deadline(self, waits_s, takes_s, deadline_s):
        answers = [Answer(End.RATE_LIMITED, retry_after_s=w) for w in waits_s]
        answer, left = self.ask(Clock(), *answers, takes_s=takes_s, deadline_s=deadline_s)
        assert all(seconds > 0 for seconds in left)
        assert answer.latency_s < deadline_s + takes_s


class TestBreaker:
    @given(st.lists(st.tuples(st.sampled_from(list(End)), st.floats(0, 100)), max_size=40))
    def test_it_opens_after_three_failures_in_a_row_and_any_answer_resets_the_count(self, calls):
        clock = Clock()
        breaker, in_a_row = CircuitBreaker(clock), 0
        for end, passes_s in calls:
            clock.sleep(breaker.remaining_cooldown_s() + passes_s)  # the server is not asked during a cooldown
            opens = breaker.record(Answer(end))
            in_a_row = 0 if end in HARMLESS else in_a_row + 1
            assert opens == (breaker.remaining_cooldown_s() > 0) == (in_a_row >= FAILURES_TO_OPEN)

    def test_cooldowns_double_up_to_a_bound_while_the_server_does_not_answer(self):
        clock = Clock()
        breaker, cooldowns = CircuitBreaker(clock), []
        for _ in range(3000):  # a month
            clock.sleep(breaker.remaining_cooldown_s())
            if breaker.record(BUSY):
                cooldowns.append(breaker.remaining_cooldown_s())
        assert cooldowns[:5] == [
            FIRST_COOLDOWN_S,
            2 * FIRST_COOLDOWN_S,
            4 * FIRST_COOLDOWN_S,
            8 * FIRST_COOLDOWN_S,
            MAX_COOLDOWN_S,
        ]
        assert set(cooldowns[5:]) == {MAX_COOLDOWN_S}

    def test_one_answer_resets_it(self):
        breaker = CircuitBreaker(Clock())
        for _ in range(2):
            assert [breaker.record(BUSY) for _ in range(3)] == [False, False, True]
            assert breaker.remaining_cooldown_s() == FIRST_COOLDOWN_S
            breaker.record(FINE)
            breaker._open_until = float("-inf")

    @pytest.mark.parametrize(
        ("requested_s", "cooldown_s"),
        [(FIRST_COOLDOWN_S, 0), (61, 61), (899, 899), (1e9, MAX_COOLDOWN_S), (float("inf"), 900)],
    )
    def test_a_long_retry_after_opens_it_at_the_first_failure_and_is_bounded(self, requested_s, cooldown_s):
        breaker = CircuitBreaker(Clock())
        breaker.record(Answer(End.RATE_LIMITED, retry_after_s=requested_s))
        assert breaker.remaining_cooldown_s() == cooldown_s

    @pytest.mark.parametrize("end", BAD)
    def test_every_failure_counts(self, end):
        breaker = CircuitBreaker(Clock())
        assert [breaker.record(Answer(end)) for _ in range(3)] == [False, False, True]
