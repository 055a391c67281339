"""How long a failing server is waited for, and how often an attempt that it fails is made again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from autoresearch.benches.fold import Pair
from autoresearch.core.llm_calls import Classification
from autoresearch.llm.answer import Answer
from autoresearch.llm.retry import FAILURES_TO_OPEN, MAX_TRIES, CircuitBreaker

INTERNAL_ERROR = "internal_error"
DEFAULT_S = 900.0


@dataclass(slots=True)
class Patience:
    """After some failed attempts in a row (``CircuitBreaker``) none is made for a while, and then one decides.

    It is ``over`` once the failures have lasted ``limit_s``, counting the next wait, and at once where the server
    rejects one request after the other: waiting does not change those.
    """

    limit_s: float = DEFAULT_S
    clock: Callable[[], float] = time.monotonic
    over: str = ""  # why
    _breaker: CircuitBreaker = field(init=False)
    _failing_since: float | None = None
    _successes: int = 0
    _failed: dict[Pair, tuple[int, int]] = field(default_factory=dict)  # tries, and successes before the first

    def __post_init__(self) -> None:
        self._breaker = CircuitBreaker(self.clock)

    @property
    def is_failing(self) -> bool:
        """Whether one attempt at a time is to be made: the last ones failed in a row."""
        return self._breaker.failures >= FAILURES_TO_OPEN

    def remaining_cooldown_s(self) -> float:
        return self._breaker.remaining_cooldown_s()

    def succeeded(self, pair: Pair) -> None:
        """An attempt has a result."""
        self._breaker.record(Answer(Classification.OK))
        self._failing_since = None
        self._successes += 1
        self._failed.pop(pair, None)

    def failed(self, pair: Pair, cause: str, detail: str, retry_after_s: float | None = None) -> bool:
        """Count a failure of the infrastructure; whether this attempt is to be made again.

        It is not where the request was rejected or our own code failed, nor after ``MAX_TRIES`` while others succeed.
        """
        if cause == INTERNAL_ERROR:
            return False
        if self._failing_since is None:
            self._failing_since = self.clock()
        known = cause in set(Classification)
        kind = Classification(cause) if known else Classification.UNREACHABLE  # a suite's own word
        is_rejected = kind is Classification.REQUEST_REJECTED
        if self._breaker.record(Answer(kind, detail, retry_after_s=retry_after_s)):
            wait_s = self._breaker.remaining_cooldown_s()
            if is_rejected or self.clock() + wait_s - self._failing_since > self.limit_s:
                self.over = f"{cause}: {detail}"
        tries, before = self._failed.get(pair, (0, self._successes))
        self._failed[pair] = (tries + 1, before)
        return not is_rejected and (tries + 1 < MAX_TRIES or self._successes == before)
