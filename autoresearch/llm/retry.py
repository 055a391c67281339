"""When to ask a failing server again, and when to leave it alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from autoresearch.core.llm_calls import ANSWERED, Classification
from autoresearch.llm.answer import Answer

MAX_TRIES = 3  # of one call
BACKOFF_S = 1.0  # before the second try; doubled before the third
FAILURES_TO_REST = 3  # calls in a row
FIRST_REST_S = 60.0
LONGEST_REST_S = 900.0

# What may be over in a second. A timeout has had its time already; a rejected request would be rejected again.
PASSING = frozenset({Classification.UNREACHABLE, Classification.RATE_LIMITED, Classification.SERVER_ERROR})


def ask_patiently(ask: Callable[[float], Answer], deadline_s: float, sleep: Callable[[float], None]) -> Answer:
    """Ask until there is an answer, a failure that will not pass, or no time left for another try.

    ``ask`` gets the seconds that are left. The answer's ``latency_s`` covers every try and the waits between them.
    """
    began = time.monotonic()
    for tries in range(1, MAX_TRIES + 1):
        answer = ask(deadline_s - (time.monotonic() - began))
        spent = time.monotonic() - began
        answer = replace(answer, tries=tries, latency_s=spent)
        wait = answer.retry_after_s if answer.retry_after_s is not None else BACKOFF_S * 2 ** (tries - 1)
        if answer.classification not in PASSING or tries == MAX_TRIES or spent + wait >= deadline_s:
            break
        sleep(wait)
    return answer


@dataclass(slots=True)
class CircuitBreaker:
    """A circuit breaker: after some failures in a row the server rests, each time for longer; then one call decides."""

    clock: Callable[[], float] = time.monotonic
    failures: int = 0
    _rests: int = 0
    _until: float = field(default=float("-inf"))

    def resting_s(self) -> float:
        """For how many seconds the server is still not asked; 0 where it may be."""
        return max(0.0, self._until - self.clock())

    def heard(self, answer: Answer) -> bool:
        """Take a call's end into account; whether a rest begins with it."""
        if answer.classification in ANSWERED or answer.classification is Classification.CONTEXT_LENGTH_EXCEEDED:
            self.failures = self._rests = 0
            return False
        self.failures += 1
        wanted = answer.retry_after_s or 0.0
        if self.failures < FAILURES_TO_REST and not self._rests and wanted <= FIRST_REST_S:
            return False
        rest = min(LONGEST_REST_S, max(wanted, FIRST_REST_S * 2 ** min(self._rests, 10)))  # 2**1024 is no float
        self._rests += 1
        self._until = self.clock() + rest
        return True
