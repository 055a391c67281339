"""When to send a failed request again (backoff), and when not to ask a failing server at all (circuit breaker)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from autoresearch.core.llm_calls import ANSWERED, Classification
from autoresearch.llm.answer import Answer

MAX_TRIES = 3  # of one call
BACKOFF_S = 1.0  # before the second try; doubled before the third
FAILURES_TO_OPEN = 3  # calls in a row
FIRST_COOLDOWN_S = 60.0
MAX_COOLDOWN_S = 900.0

# Failures that may be over within a second. A timeout has used up its time; a rejected request would be rejected again.
RETRYABLE = frozenset({Classification.UNREACHABLE, Classification.RATE_LIMITED, Classification.SERVER_ERROR})


def ask_with_retries(
    ask: Callable[[float], Answer],
    deadline_s: float,
    sleep: Callable[[float], None],
    backoff_s: float = BACKOFF_S,
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """Call ``ask`` until it answers, fails in a way that is not retryable, or has no time left for another try.

    ``ask`` gets the seconds that are left. The answer's ``latency_s`` covers every try and the waits between them.
    """
    began = clock()
    for tries in range(1, MAX_TRIES + 1):
        answer = ask(deadline_s - (clock() - began))
        spent_s = clock() - began
        answer = replace(answer, tries=tries, latency_s=spent_s)
        wait_s = answer.retry_after_s if answer.retry_after_s is not None else backoff_s * 2 ** (tries - 1)
        if answer.classification not in RETRYABLE or tries == MAX_TRIES or spent_s + wait_s >= deadline_s:
            break
        sleep(wait_s)
    return answer


@dataclass(slots=True)
class CircuitBreaker:
    """Opens after some failures in a row, for a cooldown that doubles each time; then one call decides.

    ``failures`` counts those in a row, ``_cooldowns`` the cooldowns since the last success.
    """

    clock: Callable[[], float] = time.monotonic
    failures: int = 0
    _cooldowns: int = 0
    _open_until: float = field(default=float("-inf"))

    def remaining_cooldown_s(self) -> float:
        """Seconds for which the server must not be asked; 0 when it may be."""
        return max(0.0, self._open_until - self.clock())

    def record(self, answer: Answer) -> bool:
        """Count the result of a call; whether a cooldown begins with it."""
        if answer.classification in ANSWERED or answer.classification is Classification.CONTEXT_LENGTH_EXCEEDED:
            self.failures = self._cooldowns = 0
            return False
        self.failures += 1
        requested_s = answer.retry_after_s or 0.0
        if self.failures < FAILURES_TO_OPEN and not self._cooldowns and requested_s <= FIRST_COOLDOWN_S:
            return False
        doubled_s = FIRST_COOLDOWN_S * 2 ** min(self._cooldowns, 10)  # bounded: 2**1024 does not fit a float
        self._cooldowns += 1
        self._open_until = self.clock() + min(MAX_COOLDOWN_S, max(requested_s, doubled_s))
        return True
