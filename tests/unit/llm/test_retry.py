from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.llm_calls import ANSWERED
from autoresearch.core.llm_calls import Classification as End
from autoresearch.llm import retry
from autoresearch.llm.answer import Answer
from autoresearch.llm.retry import (
    BACKOFF_S,
    FAILURES_TO_REST,
    FIRST_REST_S,
    LONGEST_REST_S,
    MAX_TRIES,
    PASSING,
    CircuitBreaker,
    ask_patiently,
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

    monotonic = __call__


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(retry, "time", made)
    return made


class TestAskPatiently:
    def ask(self, clock, *answers, takes_s=0.0, deadline_s=60.0):
        """The answer, and the seconds that were left at each try."""
        left, script = [], list(answers)

        def once(left_s):
            left.append(left_s)
            clock.sleep(takes_s)
            return script.pop(0)

        return ask_patiently(once, deadline_s, clock.sleep), left

    def test_an_answer_is_an_answer(self, clock):
        answer, left = self.ask(clock, FINE, takes_s=2)
        assert (answer.tries, answer.latency_s, left) == (1, 2, [60])

    def test_waits_double_and_count(self, clock):
        answer, left = self.ask(clock, BUSY, BUSY, FINE, takes_s=2)
        assert (answer.classification, answer.tries) == (End.OK, 3)
        assert left == [60, 58 - BACKOFF_S, 56 - 3 * BACKOFF_S]
        assert answer.latency_s == 6 + 3 * BACKOFF_S

    def test_it_is_not_asked_for_ever(self, clock):
        answer, left = self.ask(clock, *[BUSY] * 9)
        assert (answer.classification, answer.tries, len(left)) == (End.SERVER_ERROR, MAX_TRIES, MAX_TRIES)

    @pytest.mark.parametrize("end", [end for end in End if end not in PASSING])
    def test_what_does_not_pass_is_not_asked_again(self, clock, end):
        assert self.ask(clock, Answer(end), FINE)[0] == Answer(end)

    def test_the_servers_wish_comes_before_the_usual_wait(self, clock):
        _, left = self.ask(clock, Answer(End.RATE_LIMITED, retry_after_s=20), FINE)
        assert left == [60, 40]

    def test_a_wish_beyond_the_deadline_ends_the_call_at_once(self, clock):
        answer, left = self.ask(clock, Answer(End.RATE_LIMITED, retry_after_s=60), FINE)
        assert (answer.classification, answer.latency_s, left) == (End.RATE_LIMITED, 0, [60])

    @given(
        st.lists(st.sampled_from([None, 0.0, 0.5, 7.0, 1e9]), min_size=3, max_size=3),
        st.floats(0, 5),
        st.floats(0.1, 30),
    )
    def test_no_try_begins_past_the_deadline(self, wishes, takes_s, deadline_s):
        clock = Clock()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(retry, "time", clock)
            answers = [Answer(End.RATE_LIMITED, retry_after_s=w) for w in wishes]
            answer, left = self.ask(clock, *answers, takes_s=takes_s, deadline_s=deadline_s)
        assert all(seconds > 0 for seconds in left)
        assert answer.latency_s < deadline_s + takes_s


class TestBreaker:
    @given(st.lists(st.tuples(st.sampled_from(list(End)), st.floats(0, 100)), max_size=40))
    def test_it_never_rests_before_three_failures_in_a_row_and_any_answer_forgets_them(self, calls):
        clock = Clock()
        breaker, in_a_row = CircuitBreaker(clock), 0
        for end, passes_s in calls:
            clock.sleep(breaker.resting_s() + passes_s)  # a server at rest is not asked
            is_rest = breaker.heard(Answer(end))
            in_a_row = 0 if end in HARMLESS else in_a_row + 1
            assert is_rest == (breaker.resting_s() > 0) == (in_a_row >= FAILURES_TO_REST)

    def test_rests_double_up_to_a_bound_for_as_long_as_nobody_answers(self):
        clock = Clock()
        breaker, rests = CircuitBreaker(clock), []
        for _ in range(3000):  # a month
            clock.sleep(breaker.resting_s())
            if breaker.heard(BUSY):
                rests.append(breaker.resting_s())
        assert rests[:5] == [FIRST_REST_S, 2 * FIRST_REST_S, 4 * FIRST_REST_S, 8 * FIRST_REST_S, LONGEST_REST_S]
        assert set(rests[5:]) == {LONGEST_REST_S}

    def test_one_answer_resets_it(self):
        breaker = CircuitBreaker(Clock())
        for _ in range(2):
            assert [breaker.heard(BUSY) for _ in range(3)] == [False, False, True]
            assert breaker.resting_s() == FIRST_REST_S
            breaker.heard(FINE)
            breaker._until = float("-inf")

    @pytest.mark.parametrize(
        ("wanted_s", "rest_s"), [(FIRST_REST_S, 0), (61, 61), (899, 899), (1e9, LONGEST_REST_S), (float("inf"), 900)]
    )
    def test_a_long_retry_after_is_a_rest_at_the_first_failure_and_bounded(self, wanted_s, rest_s):
        breaker = CircuitBreaker(Clock())
        breaker.heard(Answer(End.RATE_LIMITED, retry_after_s=wanted_s))
        assert breaker.resting_s() == rest_s

    @pytest.mark.parametrize("end", BAD)
    def test_every_failure_counts(self, end):
        breaker = CircuitBreaker(Clock())
        assert [breaker.heard(Answer(end)) for _ in range(3)] == [False, False, True]
