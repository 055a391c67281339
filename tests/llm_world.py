"""A run with a real ``LlmProposer`` and a real ``LlmServer`` in front of a fake server: what the fault tests share."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from autoresearch.config.settings import Settings
from autoresearch.core.llm_calls import Classification, Exchange, decode_exchange
from autoresearch.core.loop import Loop
from autoresearch.core.records import Evaluated, IterationRecord
from autoresearch.daemon.cost_check import judge
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.llm.async_bridge import AsyncBridge
from autoresearch.llm.client import Client
from autoresearch.llm.server import LlmServer
from autoresearch.proposers.llm import LlmProposer
from autoresearch.proposers.random import RandomProposer
from autoresearch.proposers.space import Space
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from rails import default_menu

KEY = "sk-local/0123456789abcdef+Zz"
PROMISED_S = 5.0  # past the deadline a call is over, on a busy machine too; the slow servers never end by themselves


@dataclass
class MemoryLog:
    """Keeps exchanges as the file would: as JSON."""

    payloads: list[str] = field(default_factory=list)

    @property
    def next_number(self) -> int:
        return len(self.payloads) + 1

    def append(self, exchange: Exchange) -> None:
        self.payloads.append(exchange.model_dump_json())

    @property
    def exchanges(self) -> list[Exchange]:
        return [decode_exchange(payload) for payload in self.payloads]


class TimedServer(LlmServer):
    """Asserts of every call that it ended in time, whatever its result."""

    def timed(self, call: Callable[[], Any]) -> Any:
        began = time.monotonic()
        try:
            return call()
        finally:
            assert time.monotonic() - began < self.deadline_s + PROMISED_S

    def discover(self) -> Any:
        return self.timed(super().discover)

    def ask(self, *args: Any) -> Any:
        return self.timed(partial(super().ask, *args))

    def count_tokens(self, text: str) -> Any:
        return self.timed(partial(super().count_tokens, text))


@dataclass
class World:
    """The loop of a run and what can be seen from outside."""

    loop: Loop
    llm: LlmServer
    log: MemoryLog
    messages: list[str]
    memory: int  # iterations that were over before the model came

    def run(self) -> None:
        """To the end, with what every fault owes the run: each iteration has its proposal, each call is on record."""
        assert self.loop.run() == "complete"
        iterations = self.iterations
        assert all(isinstance(record, Evaluated) for record in iterations)
        on_record = [call for record in iterations for call in record.llm_calls]
        assert on_record == [exchange.call for exchange in self.log.exchanges]
        assert [call.exchange for call in on_record] == list(range(1, len(on_record) + 1))
        self.check_that_the_key_is_nowhere()

    def check_that_the_key_is_nowhere(self) -> None:
        written = "\n".join([*self.log.payloads, *self.loop.journal.payloads, *self.messages])
        assert KEY not in written
        assert json.dumps(KEY)[1:-1] not in written
        assert KEY[:12] not in written, "the beginning of the key was cut off with the text around it"

    @property
    def iterations(self) -> list[IterationRecord]:
        return self.loop.trajectory.iterations[self.memory :]

    @property
    def ends(self) -> list[Classification]:
        """How the calls ended, in order."""
        return [exchange.classification for exchange in self.log.exchanges]

    @property
    def sources(self) -> list[str]:
        """Who proposed what was tried."""
        return [record.attempts[-1].source for record in self.iterations]


@contextmanager
def world_of(
    base_url: str, *, iters: int = 1, memory: int = 0, key: str | None = KEY, **server: Any
) -> Iterator[World]:
    """A run of ``iters`` iterations after ``memory`` others; ``server`` are fields of ``LlmServer``."""
    settings = Settings(iters=memory + iters, baseline=default_menu().defaults)
    policy = build_policy(settings)
    backend = TrialBackend(FakeTrial(), YARDSTICK, None)
    space = Space(policy.menu, policy.baseline, policy.steps)
    messages: list[str] = []
    log = MemoryLog()
    limits = {"deadline_s": 5.0, "backoff_s": 0.001, **server}
    llm = TimedServer(Client(base_url, key), AsyncBridge(), messages.append, key=key, **limits)
    proposer = LlmProposer(
        llm=llm,
        space=space,
        fallback=RandomProposer(space, seed=1),
        judge=partial(judge, policy, backend, settings),
        log=log,
        utc=lambda: "2026-01-01T00:00:00Z",
        budget_left=lambda _trajectory: "an hour",
    )
    loop = fake_loop(settings, RandomProposer(space, seed=2))
    if memory:
        loop.iters = memory
        loop.run()
    loop.iters, loop.proposer = memory + iters, proposer
    try:
        yield World(loop, llm, log, messages, memory)
    finally:
        llm.close()
