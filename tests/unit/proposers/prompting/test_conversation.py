from __future__ import annotations

import pytest

from autoresearch.core.llm_calls import Classification as End
from autoresearch.core.llm_calls import LlmCall, Message
from autoresearch.core.record_builders import build_attempt
from autoresearch.core.records import Attempt
from autoresearch.proposers.prompting.conversation import MAX_ECHO_CHARS, MAX_QUOTE_CHARS, Conversation
from rails import Rail, Verdict

QUESTION = Message(role="user", content="What next?")


def refused(raw: str, reason: str = "out of range") -> Attempt:
    return build_attempt(raw, "nim", Verdict(False, Rail.R3_RANGE, reason))


def begun(words: str = "lr = 7") -> Conversation:
    return Conversation(1, messages=[QUESTION], last_reply=words)


def roles(conversation: Conversation) -> list[str]:
    return [message.role for message in conversation.messages]


def test_the_model_hears_what_it_said_and_why_that_was_refused():
    conversation = begun()
    conversation.add_refusals([refused("a"), refused("b", "too dear")])
    assert roles(conversation) == ["user", "assistant", "user"]
    assert conversation.messages[1].content == "lr = 7"
    assert "- a : R3" in conversation.messages[2].content
    assert "too dear" in conversation.messages[2].content


def test_it_hears_every_refusal_once():
    conversation = begun()
    conversation.add_refusals([refused("a")])
    conversation.add_refusals([refused("a")])
    assert len(conversation.messages) == 3
    conversation.last_reply = "again"
    conversation.add_refusals([refused("a"), refused("b")])
    assert roles(conversation) == ["user", "assistant", "user", "assistant", "user"]
    assert "- a" not in conversation.messages[-1].content


def test_what_others_were_refused_is_none_of_its_business():
    conversation = begun(words="")
    conversation.add_refusals([refused("a")])
    assert conversation.messages == [QUESTION]


def test_a_long_reply_is_not_repeated_at_length_nor_over_several_lines():
    conversation = begun("x" * 10**6)
    conversation.add_refusals([refused("a\n\nb\t" + "c" * 10**6)])
    assert len(conversation.messages[1].content) == MAX_ECHO_CHARS
    assert "- a b cc" in conversation.messages[2].content
    assert len(conversation.messages[2].content) < MAX_QUOTE_CHARS + 300


@pytest.mark.parametrize("why", [End.EMPTY, End.THINK_TRUNCATED, End.OUTPUT_TRUNCATED, End.TOOL_FORMAT_ERROR])
def test_insisting_changes_the_question_and_not_the_order_of_roles(why):
    conversation = begun()
    conversation.ask_again(why)
    conversation.ask_again(why)
    assert roles(conversation) == ["user"]
    added = conversation.messages[0].content.removeprefix(QUESTION.content)
    assert added.strip()
    assert added.count("\n\n") == 1


def test_calls_are_handed_over_once():
    conversation = Conversation(1)
    call = LlmCall(
        exchange=1, round=1, classification=End.OK, model=None, prompt_tokens=1, completion_tokens=1, latency_s=0.1
    )
    conversation.calls.append(call)
    assert conversation.pop_calls() == (call,)
    assert conversation.pop_calls() == ()


def test_the_changes_that_were_refused_are_collected_for_the_schema_of_the_next_round():
    conversation = begun()
    raws = (
        '{"knob": "lr", "new_value": 7, "reason": "x"}',
        '{"knob": "lr", "new_value": 8.5, "reason": "x"}',
        '{"knob": "n_head", "new_value": true, "reason": "x"}',
        '{"changes": [{"knob": "beta1", "new_value": 1}], "reason": "x"}',
        '{"knob": "d_ff", "new_value": 1, "new_value": 2}',
        "no JSON",
    )
    of_optimizer = build_attempt(raws[0].replace("lr", "d_model"), "tpe", Verdict(False, Rail.R3_RANGE, "out of range"))
    conversation.add_refusals([*map(refused, raws), of_optimizer])
    assert conversation.refused == {"lr": {7, 8.5}}
