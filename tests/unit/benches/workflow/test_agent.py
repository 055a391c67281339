"""The loop of turns with a scripted chat: how each attempt ends, and what the model is shown."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest

from autoresearch.benches.ports import ChatTurn, ContextOverflow, Infrastructure, NativeToolCall
from autoresearch.benches.workflow.agent import AgentLimits, Trace, WorkflowAgent
from autoresearch.benches.workflow.prompt import MAX_RESULT_CHARS
from autoresearch.core.llm_calls import Classification
from autoresearch.core.ports import Interrupted
from autoresearch.testing.fake_chat import FakeChat


class FakeTools:
    """Answers every call with its arguments."""

    def __init__(self, result: dict[str, Any] | None = None) -> None:
        self.used: list[tuple[str, dict[str, Any]]] = []
        self.result = result

    def schemas(self) -> list[dict[str, Any]]:
        parameters = {"type": "object", "properties": {"x": {"type": "integer"}}}
        return [{"type": "function", "function": {"name": "look", "description": "Look.", "parameters": parameters}}]

    def use(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.used.append((name, dict(arguments)))
        return self.result or {"got": dict(arguments)}


def native(*calls: tuple[str, str], text: str = "") -> ChatTurn:
    made = tuple(NativeToolCall(f"id{i}", name, arguments) for i, (name, arguments) in enumerate(calls))
    return ChatTurn(text, tool_calls=made, finish_reason="tool_calls")


LOOK = native(("look", '{"x": 1}'))
LIMITS = AgentLimits(max_turns=6, timeout_s=100)


def run(chat: FakeChat, tools: FakeTools | None = None, limits: AgentLimits = LIMITS, **more: Any) -> Trace:
    return WorkflowAgent(chat, tools or FakeTools(), limits, **more).run("Do it.")


def test_calls_are_made_until_an_answer_without_one() -> None:
    chat, tools = FakeChat(LOOK, native(("look", "{}"), ("look", '{"x": 2}')), "All done."), FakeTools()
    trace = run(chat, tools)
    assert (trace.status, trace.answer) == ("finished", "All done.")
    assert tools.used == [("look", {"x": 1}), ("look", {}), ("look", {"x": 2})]
    assert [turn["calls"] for turn in trace.turns] == [["look"], ["look", "look"], []]
    assert [turn["action"] for turn in trace.turns] == ["tool", "tool", "finish"]
    assert trace.turns[0]["call_formats"] == ["native"]
    last = chat.requests[-1].messages
    assert [m["role"] for m in last] == ["system", "user", "assistant", "tool", "assistant", "tool", "tool"]
    assert [m["tool_call_id"] for m in last if m["role"] == "tool"] == ["id0", "id0", "id1"]
    assert json.loads(last[-1]["content"]) == {"got": {"x": 2}}
    assert chat.requests[0].tools[0]["function"]["name"] == "look"
    assert trace.tokens_in > 0
    assert trace.tokens_out > 0


def test_a_call_in_the_text_is_made_and_recorded_as_such() -> None:
    chat = FakeChat('<tool_call>\n{"name": "look", "arguments": {"x": 3}}\n</tool_call>', "ok")
    tools = FakeTools()
    trace = run(chat, tools)
    assert tools.used == [("look", {"x": 3})]
    assert (trace.turns[0]["call_source"], trace.turns[0]["call_formats"]) == ("text", ["tool_call json"])
    assert "<tool_response>" in chat.requests[1].messages[-1]["content"]


def test_a_call_inside_thinking_is_not_made() -> None:
    chat = FakeChat('<think><tool_call>{"name": "look", "arguments": {}}</tool_call></think>No need.')
    tools = FakeTools()
    assert run(chat, tools).answer == "No need."
    assert tools.used == []


def test_an_unreadable_call_is_explained_and_three_in_a_row_end_the_attempt() -> None:
    broken = native(("look", '{"x": '))
    chat = FakeChat(broken, LOOK, broken, broken, broken, "never")
    trace = run(chat)
    assert trace.status == "error"
    assert "3 answers in a row" in trace.detail
    assert len(trace.turns) == 5
    assert "not valid JSON" in chat.requests[1].messages[-1]["content"]
    assert chat.requests[1].messages[-2]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert trace.turns[0]["format_errors"]


def test_of_several_calls_the_readable_ones_are_made() -> None:
    chat, tools = FakeChat(native(("look", '{"x": 1}'), ("look", "{"), ("look", '{"x": 2}')), "ok"), FakeTools()
    run(chat, tools)
    shown = [m["content"] for m in chat.requests[1].messages if m["role"] == "tool"]
    assert [json.loads(shown[0]), json.loads(shown[2])] == [{"got": {"x": 1}}, {"got": {"x": 2}}]
    assert "not valid JSON" in shown[1]
    assert [arguments["x"] for _, arguments in tools.used] == [1, 2]


def test_empty_answers_end_the_attempt() -> None:
    trace = run(FakeChat(""))
    assert (trace.status, trace.answer, len(trace.turns)) == ("error", None, 3)


def test_the_limits_of_turns_and_tokens() -> None:
    trace = run(FakeChat(LOOK))
    assert (trace.status, trace.answer, len(trace.turns)) == ("max_turns_reached", None, 6)
    long = ChatTurn("", tool_calls=LOOK.tool_calls, tokens_in=10, tokens_out=60)
    chat = FakeChat(long)
    trace = run(chat, limits=AgentLimits(max_turns=9, timeout_s=100, max_tokens=100, max_completion_tokens=80))
    assert (trace.status, len(trace.turns)) == ("max_tokens_reached", 2)
    assert [request.max_tokens for request in chat.requests] == [80, 40]


def test_the_limit_of_time_ends_it_between_calls() -> None:
    ticks = itertools.count(0, 30)
    tools = FakeTools()
    trace = run(FakeChat(LOOK), tools, clock=lambda: float(next(ticks)))
    assert trace.status == "timeout"
    assert 0 < len(trace.turns) < 4


def test_a_prompt_that_does_not_fit() -> None:
    trace = run(FakeChat(LOOK, ContextOverflow("maximum context length is 100 tokens", 100)))
    assert (trace.status, len(trace.turns)) == ("context_length_exceeded", 1)
    assert "100 tokens" in trace.detail


@pytest.mark.parametrize(
    ("cause", "detail"),
    [
        ("unreachable", "x"),
        ("server_error", "x"),
        ("timeout", "x"),
        ("rate_limited", "x"),
        ("request_rejected", "HTTP 401: wrong key"),
        ("request_rejected", "HTTP 404: no such path"),
    ],
)
def test_a_failing_server_and_a_refused_key_are_not_results(cause: str, detail: str) -> None:
    with pytest.raises(Infrastructure):
        run(FakeChat(LOOK, Infrastructure(cause, detail)))


def test_a_rejected_request_ends_the_attempt() -> None:
    trace = run(FakeChat(LOOK, Infrastructure(Classification.REQUEST_REJECTED, "bad template")))
    assert (trace.status, trace.detail) == ("api_error", "bad template")


def test_a_server_that_refuses_tools_gets_them_as_text() -> None:
    def reply(messages: Any) -> Any:
        has_tools = bool(chat.requests[-1].tools)
        return Infrastructure(Classification.REQUEST_REJECTED, "tools are not supported") if has_tools else "ok"

    chat = FakeChat(reply)
    assert run(chat).answer == "ok"
    assert len(chat.requests) == 2
    assert '"name": "look"' in chat.requests[1].messages[0]["content"]


def test_tools_are_sent_as_text_where_the_user_asks_for_it() -> None:
    chat, tools = FakeChat('<tool_call>{"name": "look", "arguments": {}}</tool_call>', "ok"), FakeTools()
    assert run(chat, tools, tools_as_text=True).answer == "ok"
    assert [request.tools for request in chat.requests] == [(), ()]
    assert '"name": "look"' in chat.requests[0].messages[0]["content"]
    assert tools.used == [("look", {})]


def test_an_answer_that_was_cut_off_is_not_finished() -> None:
    trace = run(FakeChat(ChatTurn("The total is 1", finish_reason="length")))
    assert (trace.status, trace.answer) == ("max_tokens_reached", "The total is 1")


def test_a_stop_interrupts_before_the_next_request_and_the_next_call() -> None:
    chat = FakeChat(LOOK)
    with pytest.raises(Interrupted):
        run(chat, stopped=lambda: True)
    assert chat.requests == []
    tools = FakeTools()
    chat = FakeChat(LOOK)
    with pytest.raises(Interrupted):
        run(chat, tools, stopped=lambda: bool(chat.requests))
    assert tools.used == []


def test_a_long_result_is_cut_off_for_the_model() -> None:
    chat = FakeChat(LOOK, "ok")
    run(chat, FakeTools({"text": "x" * (2 * MAX_RESULT_CHARS)}))
    assert len(chat.requests[1].messages[-1]["content"]) < MAX_RESULT_CHARS + 50
