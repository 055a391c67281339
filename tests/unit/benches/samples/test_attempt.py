"""One sample: what is asked, what is kept of the reply, and how it ended."""

from __future__ import annotations

import pytest

from autoresearch.benches.cases import Case
from autoresearch.benches.ports import ChatTurn, ContextOverflow, Infrastructure
from autoresearch.benches.samples.attempt import attempt_sample, visible_text
from autoresearch.benches.samples.extraction import MAX_TEXT_CHARS
from autoresearch.testing.fake_chat import FakeChat

CASE = Case(id="a", suite="samples", payload={"kind": "math", "question": "2+2?", "expected_answer": "4"})


def test_it_asks_once_with_the_prompt_of_the_kind_and_leaves_the_sampling_to_the_chat() -> None:
    chat = FakeChat(r"\boxed{4}")
    attempt = attempt_sample(CASE, chat, "/think")
    assert (attempt.status, attempt.answer) == ("finished", r"\boxed{4}")
    (request,) = chat.requests
    system, user = request.messages
    assert system == {"role": "system", "content": "/think"}
    assert user["content"].endswith("\n\n2+2?")
    assert r"\boxed{}" in user["content"]
    assert "4" not in user["content"].replace("2+2?", "")
    assert (request.seed, request.max_tokens, request.tools) == (None, None, ())


def test_without_a_system_message_none_is_sent() -> None:
    chat = FakeChat("")
    attempt_sample(CASE, chat, None)
    assert [message["role"] for message in chat.requests[0].messages] == ["user"]


def test_every_kind_has_a_prompt_of_its_own() -> None:
    texts = set()
    for kind in ("math", "mcq", "exact", "judge"):
        chat = FakeChat("")
        attempt_sample(CASE.model_copy(update={"payload": CASE.payload | {"kind": kind}}), chat, None)
        texts.add(chat.requests[0].messages[0]["content"])
    assert len(texts) == 4


@pytest.mark.parametrize(
    ("reply", "status", "answer"),
    [
        (ChatTurn("so \\boxed{4}", finish_reason="stop"), "finished", "so \\boxed{4}"),
        (ChatTurn("so", finish_reason="length"), "max_tokens_reached", "so"),
        (ChatTurn("", thinking="let me see", finish_reason="length"), "max_tokens_reached", None),
        (ChatTurn("", finish_reason="content_filter"), "content_filter", None),
        (ChatTurn("4", finish_reason=None), "finished", "4"),
        (ChatTurn(" \n"), "finished", None),
        (ChatTurn("<think>\\boxed{3}</think> \\boxed{4}"), "finished", "\\boxed{4}"),
        (ChatTurn("<think>\\boxed{3}", finish_reason="length"), "max_tokens_reached", None),
        (ContextOverflow("too long", 100), "context_length_exceeded", None),
        (ContextOverflow("too long", None), "context_length_exceeded", None),
    ],
)
def test_how_it_ended_and_what_is_kept(reply: ChatTurn | Exception, status: str, answer: str | None) -> None:
    attempt = attempt_sample(CASE, FakeChat(reply), None)
    assert (attempt.status, attempt.answer) == (status, answer)
    times = attempt.evidence["generation_start_time"], attempt.evidence["generation_end_time"]
    assert 0 < times[0] <= times[1]


def test_tokens_and_the_length_of_the_thinking_are_kept() -> None:
    attempt = attempt_sample(CASE, FakeChat(ChatTurn("4", thinking="hmm", tokens_in=5, tokens_out=9)), None)
    assert (attempt.tokens_in, attempt.tokens_out, attempt.evidence["thinking_chars"]) == (5, 9, 3)


def test_a_failure_of_the_server_is_not_an_attempt() -> None:
    with pytest.raises(Infrastructure):
        attempt_sample(CASE, FakeChat(Infrastructure("unreachable", "refused")), None)


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("plain", "plain"),
        ("<think>draft</think>answer", "answer"),
        ("draft</think>answer", "answer"),
        ("<think>draft", ""),
        (r"\frac{1}{2} <think>draft \boxed{3}", ""),  # thinking that begins after a brace
        ("<think>a</think>b<think>c</think>d", "d"),
        ("<|channel|>analysis<|message|>draft<|channel|>final<|message|>answer", "answer"),
    ],
)
def test_thinking_is_not_searched_for_an_answer(text: str, visible: str) -> None:
    assert visible_text(text)[0] == visible


def test_the_end_of_a_long_text_is_kept() -> None:
    text, evidence = visible_text("a" * MAX_TEXT_CHARS + "bc")
    assert (len(text), text[-2:], evidence["cut_chars"]) == (MAX_TEXT_CHARS, "bc", 2)
