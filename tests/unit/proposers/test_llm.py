"""``LlmProposer`` over a scripted model; over real servers that fail it is in tests/fault/test_llm_*.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.config.settings import Settings
from autoresearch.core.llm_calls import ANSWERED
from autoresearch.core.llm_calls import Classification as End
from autoresearch.core.loop import Loop
from autoresearch.core.ports import Exhausted, Interrupted, Reply
from autoresearch.core.records import Evaluated
from autoresearch.daemon.cost_check import judge
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import JournalError
from autoresearch.llm.answer import Answer
from autoresearch.llm.tokens import estimate_tokens
from autoresearch.proposers.llm import LlmProposer
from autoresearch.proposers.random import RandomProposer
from autoresearch.proposers.space import Space
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.scripted_proposer import ScriptedProposer
from rails import Rail, default_menu
from tests.llm_world import MemoryLog

GOOD = '{"knob": "lr", "new_value": 0.002, "reason": "twice"}'
OTHER = '{"knob": "beta1", "new_value": 0.8, "reason": "less"}'
TOO_HIGH = '{"knob": "lr", "new_value": 7, "reason": "high"}'
TOO_LOW = '{"knob": "lr", "new_value": -1, "reason": "low"}'
ROUNDS = 3


def says(text: str, **more: Any) -> Answer:
    return Answer(End.OK if text else End.EMPTY, text=text, model="scripted", **more)


@dataclass
class ScriptedLlm:
    """Answers in order, the last one again and again; an exception is raised."""

    script: list[Answer | Exception]
    max_model_len: int = 8192
    completion_tokens: int = 1024
    tokens_ratio: float = 1.0
    cooldown_s: float = 0.0
    failed: Answer | None = None
    asked: list[tuple[Any, Any]] = field(default_factory=list)
    meetings: int = 0

    def remaining_cooldown_s(self) -> float:
        return self.cooldown_s

    def discover(self) -> Answer | None:
        self.meetings += 1
        return self.failed

    def ask(self, messages: Any, schema: Any) -> Answer:
        self.asked.append((tuple(messages), schema))
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def count_tokens(self, text: str) -> int | None:
        return None


def night(*script: Answer | Exception, iters: int = 1, fallback: Any = None, **llm: Any) -> tuple[Loop, ScriptedLlm]:
    """A loop that has not run yet."""
    settings = Settings(iters=iters, baseline=default_menu().defaults)
    policy = build_policy(settings)
    space = Space(policy.menu, policy.baseline, policy.steps)
    model = ScriptedLlm(list(script), **llm)
    proposer = LlmProposer(
        llm=model,
        space=space,
        fallback=fallback or RandomProposer(space, seed=1),
        judge=partial(judge, policy, TrialBackend(FakeTrial(), YARDSTICK, None), settings),
        log=MemoryLog(),
        utc=lambda: "now",
        budget_left=lambda _trajectory: "an hour",
        rounds=ROUNDS,
    )
    return fake_loop(settings, proposer), model


def only(loop: Loop) -> Evaluated:
    (record,) = loop.trajectory.iterations
    assert isinstance(record, Evaluated)
    return record


def test_every_proposal_of_a_reply_is_judged_and_the_first_good_one_tried():
    loop, model = night(says(f"{TOO_HIGH} {GOOD} {OTHER}"))
    assert loop.run() == "complete"
    record = only(loop)
    assert [attempt.rail for attempt in record.attempts] == [Rail.R3_RANGE, Rail.PASSED, Rail.PASSED]
    assert record.proposal.knob == "lr"
    assert len(model.asked) == 1


def test_the_conversation_goes_on_for_some_rounds_and_then_the_fallback_proposes():
    loop, model = night(says(TOO_HIGH))
    loop.run()
    record = only(loop)
    assert [attempt.source for attempt in record.attempts] == ["nim"] * ROUNDS + ["random"]
    assert [len(messages) for messages, _ in model.asked] == [1, 3, 5]
    assert [call.round for call in record.llm_calls] == [1, 2, 3]
    assert model.meetings == 1


def test_an_empty_reply_is_asked_for_again_and_never_goes_to_the_rails():
    loop, model = night(says(""), says(GOOD))
    loop.run()
    assert [attempt.source for attempt in only(loop).attempts] == ["nim"]
    assert [len(messages) for messages, _ in model.asked] == [1, 1]
    assert model.asked[1][0][0].content != model.asked[0][0][0].content


@pytest.mark.parametrize("end", [end for end in End if end not in ANSWERED and end is not End.CONTEXT_LENGTH_EXCEEDED])
def test_after_a_failure_the_fallback_has_the_iteration_to_itself(end):
    bad = ScriptedProposer([TOO_HIGH, GOOD], "spare")
    loop, model = night(Answer(end, "why"), fallback=bad)
    loop.run()
    record = only(loop)
    assert [attempt.source for attempt in record.attempts] == ["spare", "spare"]
    assert [call.classification for call in record.llm_calls] == [end]
    assert len(model.asked) == 1


def test_each_iteration_is_another_conversation():
    loop, model = night(says(TOO_HIGH), says(GOOD), says(OTHER), iters=2)
    loop.run()
    assert [len(messages) for messages, _ in model.asked] == [1, 3, 1]
    assert model.meetings == 2


def test_a_server_that_cannot_be_met_is_not_asked():
    loop, model = night(says(GOOD), failed=Answer(End.UNREACHABLE, "refused"))
    loop.run()
    assert model.asked == []
    assert [call.classification for call in only(loop).llm_calls] == [End.UNREACHABLE]


def test_a_server_at_rest_is_not_even_met():
    loop, model = night(says(GOOD), cooldown_s=60.0)
    loop.run()
    assert (model.meetings, model.asked, only(loop).llm_calls) == (0, [], ())


def test_an_interruption_leaves_the_conversation_as_it_was():
    loop, model = night(says(TOO_HIGH), Interrupted("a pause"), says(GOOD))
    loop.run()  # the loop asks again after the pause that is none
    assert [len(messages) for messages, _ in model.asked] == [1, 3, 3]
    assert [call.exchange for call in only(loop).llm_calls] == [1, 2]


def test_when_nothing_is_left_the_run_ends():
    loop, _ = night(Answer(End.TIMEOUT, "late"), fallback=ScriptedProposer([]))
    assert loop.run() != "complete"
    loop, _ = night(Exhausted("nothing is open"))
    assert loop.run() == "nothing is open"


def test_a_system_prompt_goes_first_and_takes_its_room():
    before = [Answer(End.TIMEOUT, "late")] * 150  # so that there is a memory to leave out of
    loop, model = night(*before, says(GOOD), iters=151, max_model_len=5000)
    loop.proposer.system = "Be bold. " * 300
    loop.run()
    system, question = model.asked[-1][0]
    assert (system.role, question.role) == ("system", "user")
    tokens = estimate_tokens(system.content) + estimate_tokens(question.content) + model.completion_tokens
    assert tokens <= 5000
    assert loop.trajectory.iterations[-1].attempts[0].source == "nim"


REPLIES = st.one_of(
    st.sampled_from([says(t) for t in (GOOD, OTHER, TOO_HIGH, "", "prose", f"{TOO_LOW}{GOOD}", '{"knob": ')]),
    st.sampled_from(list(End)).map(lambda end: Answer(end, "why", text="" if end is not End.OK else "{}")),
)


@given(st.lists(REPLIES, min_size=1, max_size=12))
def test_whatever_the_model_answers_each_iteration_has_a_proposal_and_each_call_its_record(script):
    loop, model = night(*script, iters=4)
    assert loop.run() == "complete"
    records = loop.trajectory.iterations
    assert all(isinstance(record, Evaluated) for record in records)
    exchanges = loop.proposer.log.exchanges
    assert [call for record in records for call in record.llm_calls] == [exchange.call for exchange in exchanges]
    assert all(len(record.llm_calls) <= ROUNDS + 1 for record in records)  # one more after an overflow
    for messages, _ in model.asked:
        roles = [message.role for message in messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


def test_a_reply_names_the_model_and_carries_its_calls():
    loop, _ = night(says(GOOD))
    loop.run()
    loop.iters = 2
    reply = loop.proposer.propose(loop.trajectory, [])
    assert isinstance(reply, Reply)
    assert (reply.raw, reply.source, len(reply.calls)) == (GOOD, "nim", 1)


def test_a_conversation_that_outgrows_the_context_begins_anew():
    long_winded = TOO_HIGH.replace("high", "very " * 90)
    loop, model = night(says(long_winded), max_model_len=4096, completion_tokens=512)
    first, _ = model, loop.run()
    sizes = [sum(estimate_tokens(m.content) for m in messages) for messages, _ in first.asked]
    assert all(size + 512 <= 4096 for size in sizes)
    assert len(only(loop).llm_calls) == ROUNDS


def test_a_fault_of_ours_costs_the_llm_its_turn_and_no_more():
    loop, _ = night(says(GOOD))
    loop.proposer.budget_left = lambda _trajectory: 1 / 0
    loop.run()
    record = only(loop)
    assert record.source == "random"
    assert [call.classification for call in record.llm_calls] == [End.MALFORMED_RESPONSE]
    assert "ZeroDivisionError" in loop.proposer.log.exchanges[0].detail


def test_an_exchange_that_met_a_full_disk_is_written_later_and_not_asked_for_again():
    class FullOnce(MemoryLog):
        full = True

        def append(self, exchange: Any) -> None:
            if self.full:
                self.full = False
                raise JournalError("cannot write exchanges.jsonl: No space left on device", no_space=True)
            super().append(exchange)

    loop, model = night(says(GOOD))
    loop.proposer.log = log = FullOnce()  # type: ignore[attr-defined]
    assert loop.run() == "complete"
    assert len(model.asked) == 1, "the answer waited in memory"
    assert len(log.payloads) == 1
    assert only(loop).proposal.new_value == 0.002
