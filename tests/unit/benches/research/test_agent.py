"""The loop of the research agent, with a scripted model: every status, every kind of turn."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from autoresearch.benches.ports import ChatTurn, ContextOverflow, Infrastructure, NativeToolCall
from autoresearch.benches.research.agent import Limits, ResearchAgent
from autoresearch.benches.research.papers import Paper
from autoresearch.benches.research.prompt import TOOLS
from autoresearch.benches.research.retrievers.port import RetrieverFailed
from autoresearch.benches.research.trace import Trace
from autoresearch.core.ports import Interrupted
from autoresearch.testing.fake_chat import FakeChat
from tests.research_world import TableRetriever, documents

DONE = "<answer>Done</answer>"


def search(query: str = "a", **more: Any) -> str:
    return f"<tool_call>{json.dumps({'name': 'search', 'arguments': {'query': query, **more}})}</tool_call>"


def native(query: str = "a", identity: str = "c1", text: str = "") -> ChatTurn:
    return ChatTurn(text, tool_calls=(NativeToolCall(identity, "search", json.dumps({"query": query})),))


def table() -> TableRetriever:
    return TableRetriever({"a": documents(1, 2, 3), "b": documents(4, 2)})


def run(
    *script: Any,
    retriever: TableRetriever | None = None,
    limits: Limits | None = None,
    context_tokens: int = 100_000,
    is_deep: bool = True,
    **more: Any,
) -> tuple[Trace, FakeChat]:
    chat = FakeChat(*script, context_tokens=context_tokens)
    agent = ResearchAgent(chat, retriever or table(), limits or Limits(), **more)
    return agent.run("Which paper?", is_deep=is_deep), chat


def actions(trace: Trace) -> list[str]:
    return [turn["action"] for turn in trace.turns]


def ids(papers: list[Paper]) -> list[str]:
    return [paper.id for paper in papers]


def test_a_search_and_a_nomination_finish() -> None:
    trace, chat = run(search(), f"<candidates>[1]</candidates>{DONE}")
    assert (trace.status, trace.ended_by) == ("finished", "model")
    assert trace.candidates.nominee == Paper("2204.00002", "Title 2")
    assert actions(trace) == ["tool", "finish"]
    first, second = trace.turns
    assert first["action_content"] == {"name": "search", "arguments": {"query": "a"}}
    assert first["papers_retrieved_this_turn"] == 3
    assert [paper["id"] for paper in first["papers"]] == ["2204.00001", "2204.00002", "2204.00003"]
    assert (first["call_source"], first["call_formats"], first["queries"]) == ("text", ["tool_call json"], ["a"])
    assert (second["action_content"], second["papers_retrieved_this_turn"]) == ("Done", 0)
    assert {"turn", "duration", "input_tokens", "output_tokens"} <= first.keys()
    assert chat.requests[0].tools == TOOLS
    shown = json.loads(chat.requests[1].messages[-1]["content"].removeprefix("<tool_response>").partition("</tool")[0])
    assert [(paper["paper_id"], paper["arxiv_id"]) for paper in shown][:2] == [(0, "2204.00001"), (1, "2204.00002")]


def test_a_native_call_is_answered_in_the_role_tool() -> None:
    trace, chat = run(native(), f"<candidates>0</candidates>{DONE}")
    assert trace.turns[0]["call_source"] == "native"
    *_, asked, answered = chat.requests[1].messages
    assert asked["tool_calls"][0]["id"] == answered["tool_call_id"] == "c1"
    assert answered["role"] == "tool"
    assert json.loads(answered["content"])[0]["paper_title"] == "Title 1"


def test_several_native_calls_make_one_list_and_each_is_answered() -> None:
    calls = (NativeToolCall("c1", "search", '{"query": "a"}'), NativeToolCall("", "search", '{"query": "b"}'))
    trace, chat = run(ChatTurn("", tool_calls=calls), f"<candidates>3</candidates>{DONE}")
    assert trace.turns[0]["queries"] == ["a", "b"]
    assert trace.turns[0]["papers_retrieved_this_turn"] == 4  # paper 2 once
    assert trace.candidates.nominee == Paper("2204.00004", "Title 4")
    assert [m.get("tool_call_id") for m in chat.requests[1].messages[-2:]] == ["c1", "call_1"]


def test_broken_native_arguments_are_told_and_sent_back_as_an_empty_object() -> None:
    broken = ChatTurn("", tool_calls=(NativeToolCall("c1", "search", '{"query": "x'),))
    trace, chat = run(broken, f"<candidates>None</candidates>{DONE}")
    assert actions(trace) == ["error", "finish"]
    *_, asked, answered = chat.requests[1].messages
    assert asked["tool_calls"][0]["function"]["arguments"] == "{}"
    assert "<error>the arguments are not valid JSON" in answered["content"]
    assert trace.turns[0]["output_tokens"] > 0


def test_candidates_without_a_call_are_an_end() -> None:
    for text in ("<candidates>1, 0</candidates>", "<candidates>None</candidates>"):
        trace, _ = run(search(), text)
        assert trace.status == "finished"


def test_the_end_signal_wins_over_a_call() -> None:
    trace, _ = run(f"{search()}{DONE}")
    assert (trace.status, actions(trace)) == ("finished", ["finish"])


def test_ids_are_those_of_the_latest_list_and_the_first_candidate_stays_beside_the_last() -> None:
    trace, _ = run(search("a"), f"<candidates>2</candidates>{search('b')}", f"<candidates>0, 7</candidates>{DONE}")
    assert ids(trace.candidates.accumulated) == ["2204.00003", "2204.00004"]
    assert trace.candidates.accumulated[0].id == "2204.00003"
    assert trace.candidates.nominee == Paper("2204.00004", "Title 4")
    assert trace.turns[2]["candidates_unknown"] == [7]


def test_an_empty_result_is_the_latest_list() -> None:
    trace, chat = run(search("a"), search("nothing"), f"<candidates>0</candidates>{search('b')}", DONE)
    assert trace.candidates.accumulated == []
    note = chat.requests[3].messages[-1]["content"]
    assert "The candidates 0 are not in the latest list, which is empty: they were not added." in note


def test_none_clears_and_is_the_state() -> None:
    trace, _ = run(search(), f"<candidates>0</candidates>{search('b')}", f"<candidates>None</candidates>{DONE}")
    assert (trace.candidates.accumulated, trace.candidates.state, trace.candidates.cleared) == ([], "none", 1)


def test_a_nomination_inside_thinking_does_not_count() -> None:
    trace, _ = run(search(), f"<think><candidates>0</candidates></think>{DONE}")
    assert trace.candidates.accumulated == []
    trace, _ = run(search(), f"<candidates>0</candidates>{DONE}</think><candidates>2</candidates>")
    assert ids(trace.candidates.accumulated) == ["2204.00003"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("I think it is paper 3.", "neither a call of search nor"),
        ("", "neither a call of search nor"),
        ('<tool_call>{"name": "search", "arguments": {"query": "x"', "the JSON is cut off"),
        ('<tool_call>{"name": "browse", "arguments": {}}</tool_call>', "there is no tool 'browse'"),
        ('<tool_call>{"name": "search", "arguments": {}}</tool_call>', 'search needs "query"'),
        (search("  "), 'search needs "query"'),
        (search("x" * 3000), "query has 3000 characters"),
        (search(top_k=0), "top_k must be a whole number from 1 to 50"),
        (search(top_k="5"), "top_k must be"),
        (search(top_k=True), "top_k must be"),
        (search(top_k=2.0), "top_k must be"),
        (search(year=2020), "search has no parameter 'year'"),
    ],
)
def test_what_cannot_be_run_is_told_and_three_in_a_row_end_the_attempt(answer: str, told: str) -> None:
    trace, chat = run(answer)
    assert (trace.status, trace.ended_by, actions(trace)) == ("error", "format", ["error"] * 3)
    assert told in trace.detail
    assert told in chat.requests[1].messages[-1]["content"]
    assert all(turn["output_tokens"] > 0 for turn in trace.turns)


def test_an_answer_that_was_cut_off_is_told_so() -> None:
    trace, chat = run(ChatTurn("", thinking="hm " * 100, finish_reason="length"), DONE)
    assert trace.turns[0]["finish_reason"] == "length"
    assert "the answer was cut off after 4096 tokens: be brief" in chat.requests[1].messages[-1]["content"]


def test_a_good_call_between_resets_the_count() -> None:
    trace, _ = run("x", "x", search(), "x", "x", DONE)
    assert trace.status == "finished"
    assert actions(trace) == ["error", "error", "tool", "error", "error", "finish"]


def test_a_broken_call_beside_a_good_one_is_told_with_the_results() -> None:
    trace, chat = run(search() + "<tool_call>{", DONE)
    assert actions(trace) == ["tool", "finish"]
    assert trace.turns[0]["call_errors"] == 1
    assert "</tool_response>\n<error>the JSON is" in chat.requests[1].messages[-1]["content"]


def test_the_last_turn_is_announced_and_then_max_turns_is_reached() -> None:
    retriever = table()
    trace, chat = run(search(), retriever=retriever, limits=Limits(max_turns=3))
    assert (trace.status, trace.ended_by, len(trace.turns)) == ("max_turns_reached", "turns", 3)
    assert "This is your last turn, because the number of turns" in chat.requests[2].messages[-1]["content"]
    assert "last turn" not in chat.requests[1].messages[-1]["content"]
    assert len(retriever.queries) == 2  # the call of the last turn is not run
    assert (trace.turns[2]["action"], trace.turns[2]["queries"]) == ("tool", [])


def test_a_model_that_finishes_in_the_last_turn_is_finished() -> None:
    trace, _ = run(search(), f"<candidates>0</candidates>{DONE}", limits=Limits(max_turns=2))
    assert trace.status == "finished"


def test_a_prompt_that_grew_too_long_makes_the_next_turn_the_last() -> None:
    trace, chat = run(search(), limits=Limits(max_prompt_tokens=1))
    assert (trace.status, trace.ended_by, len(trace.turns)) == ("max_tokens_reached", "tokens", 2)
    assert "the length of the conversation is reached" in chat.requests[1].messages[-1]["content"]


def ticking(*times: float) -> Callable[[], float]:
    left: Iterator[float] = iter(times)
    last = times[-1]
    return lambda: next(left, last)


def test_a_time_limit_makes_the_next_turn_the_last() -> None:
    trace, chat = run(search(), limits=Limits(timeout_s=60), clock=ticking(0, 0, 50, 70))
    assert (trace.status, trace.ended_by, len(trace.turns)) == ("error", "time", 2)
    assert "the time limit is reached" in chat.requests[1].messages[-1]["content"]
    assert "the time limit was reached" in trace.detail


def test_the_completion_is_clamped_to_what_the_context_leaves() -> None:
    trace, chat = run(search(), DONE, context_tokens=1500, limits=Limits(max_completion_tokens=4096))
    assert trace.status == "finished"
    sent = chat.requests[0].max_tokens
    assert sent is not None
    assert 256 <= sent < 1500


WALL = (
    "This model's maximum context length is 8192 tokens. However, you requested 8801 tokens "
    "(4705 in the messages, 4096 in the completion)."
)


def test_an_8k_wall_of_a_reserve_is_not_an_overflow() -> None:
    """The published wall: 4,705 tokens of prompt and 4,096 reserved for the completion."""
    trace, chat = run(ContextOverflow(WALL, 8192), f"<candidates>None</candidates>{DONE}")
    assert trace.status == "finished"
    assert [request.max_tokens for request in chat.requests] == [4096, 8192 - 4705]
    assert trace.turns[0]["overflows"] == 1


def test_a_prompt_that_does_not_fit_is_an_overflow_with_its_numbers() -> None:
    detail = "This model's maximum context length is 8192 tokens. However, your request has 12,925 input tokens."
    trace, chat = run(search(), ContextOverflow(detail, 8192))
    assert (trace.status, trace.ended_by, len(chat.requests)) == ("context_length_exceeded", "context", 2)
    last = trace.turns[-1]
    assert (last["action"], last["output_tokens"], last["input_tokens"]) == ("error", 0, 12_925)
    assert last["context_tokens"] == 8192
    assert last["error_message"] == detail


def test_an_overflow_without_numbers_is_tried_with_halves() -> None:
    trace, chat = run(ContextOverflow("too long", None))
    assert trace.status == "context_length_exceeded"
    assert [request.max_tokens for request in chat.requests] == [4096 >> n for n in range(9)]


def test_a_lower_bound_of_the_prompt_is_not_taken_for_its_length() -> None:
    """vLLM reads no more of a prompt than may fit: its count leaves one token less than what it refused."""
    wall = "maximum context length is 8192 tokens, and your prompt contains at least 4,097 input tokens"
    trace, chat = run(ContextOverflow(wall, 8192), f"<candidates>None</candidates>{DONE}")
    assert trace.status == "finished"
    assert [request.max_tokens for request in chat.requests] == [4096, 2048]


NARROW = "This model's maximum context length is 8192 tokens. However, your request has 8100 input tokens."


def test_a_nomination_that_fits_into_what_is_left_counts() -> None:
    trace, chat = run(search(), ContextOverflow(NARROW, 8192), f"<candidates>0</candidates>{DONE}")
    assert (trace.status, chat.requests[-1].max_tokens) == ("finished", 92)
    assert trace.candidates.nominee == Paper("2204.00001", "Title 1")


def test_an_answer_that_the_context_cuts_off_is_an_overflow_and_not_a_format_error() -> None:
    cut = ChatTurn('<tool_call>{"name": "search", "argum', finish_reason="length", tokens_in=8100, tokens_out=92)
    trace, chat = run(search(), ContextOverflow(NARROW, 8192), cut)
    assert (trace.status, trace.ended_by, len(chat.requests)) == ("context_length_exceeded", "context", 3)
    last = trace.turns[-1]
    assert (last["action"], last["output_tokens"], last["context_tokens"], last["completion_limit"]) == (
        "error",
        92,
        100_000,
        92,
    )
    own = ChatTurn("so", finish_reason="length", max_tokens=20)  # a bound of the run, and not of the context
    trace, _ = run(search(), ContextOverflow(NARROW, 8192), own, own, own)
    assert (trace.status, trace.ended_by) == ("error", "format")
    assert trace.turns[1]["completion_limit"] == 20


def test_the_servers_own_counts_correct_the_estimate() -> None:
    first = ChatTurn(search(), tokens_in=1000, tokens_out=7)
    trace, chat = run(first, DONE, context_tokens=8192)
    assert (trace.turns[0]["input_tokens"], trace.turns[0]["output_tokens"]) == (1000, 7)
    assert "estimated" not in trace.turns[0]
    limit = chat.requests[1].max_tokens
    assert limit is not None
    assert limit <= 4096


def test_a_refusal_of_the_conversation_is_an_api_error() -> None:
    refusal = Infrastructure("request_rejected", "HTTP 400: the conversation roles must alternate")
    trace, _ = run(search(), refusal)
    assert (trace.status, trace.ended_by) == ("api_error", "api")
    assert (trace.turns[1]["action"], trace.turns[1]["output_tokens"]) == ("error", 0)
    assert trace.detail == refusal.detail


def test_a_server_that_refuses_tools_is_asked_without_them() -> None:
    refusal = Infrastructure("request_rejected", 'HTTP 400: "auto" tool choice requires --enable-auto-tool-choice')
    trace, chat = run(refusal, search(), f"<candidates>0</candidates>{DONE}")
    assert trace.status == "finished"
    assert trace.tools_refused == refusal.detail
    assert [bool(request.tools) for request in chat.requests] == [True, False, False]


@pytest.mark.parametrize("cause", ["unreachable", "server_error", "timeout", "rate_limited", "model_gone"])
def test_a_failure_of_the_infrastructure_is_not_a_result(cause: str) -> None:
    with pytest.raises(Infrastructure):
        run(search(), Infrastructure(cause, "down"))


@pytest.mark.parametrize("status", [401, 403, 404, 307])
def test_a_wrong_key_or_address_is_not_a_result(status: int) -> None:
    with pytest.raises(Infrastructure):
        run(Infrastructure("request_rejected", f"HTTP {status}: no"))


def test_a_retriever_that_is_down_is_not_a_result() -> None:
    broken = TableRetriever({"a": RetrieverFailed("unreachable", "refused")})
    with pytest.raises(Infrastructure, match="retriever table: refused"):
        run(search(), retriever=broken)


def test_a_retriever_that_refuses_a_query_tells_the_model() -> None:
    picky = TableRetriever({"a": RetrieverFailed("request_rejected", "HTTP 422", is_refusal=True)})
    trace, chat = run(search(), DONE, retriever=picky)
    assert (trace.status, trace.turns[0]["action"]) == ("finished", "tool")
    assert "the search failed: HTTP 422" in chat.requests[1].messages[-1]["content"]


@pytest.mark.parametrize("failure", [search("refused"), "I do not know."])
def test_the_latest_list_stays_whole_after_a_turn_without_one(failure: str) -> None:
    """Its ids are still valid: the model has to see them."""
    refusal = RetrieverFailed("request_rejected", "HTTP 422", is_refusal=True)
    known = TableRetriever({"a": documents(1, 2, 3), "b": documents(4), "refused": refusal})
    trace, chat = run(search("b"), search("a"), failure, f"<candidates>2</candidates>{DONE}", retriever=known)
    lists = [m["content"] for m in chat.requests[-1].messages if m["content"].startswith("<tool_response>")]
    assert ['"paper_id"' in text for text in lists] == [False, True]
    assert trace.candidates.nominee == Paper("2204.00003", "Title 3")


def test_a_stop_ends_the_attempt() -> None:
    with pytest.raises(Interrupted):
        run(search(), stopped=lambda: True)


def test_older_lists_of_a_deep_question_are_titles_and_of_a_wide_one_whole() -> None:
    for is_deep in (True, False):
        _, chat = run(search("a"), search("b"), DONE, is_deep=is_deep)
        older, newest = (m["content"] for m in chat.requests[2].messages if m["content"].startswith("<tool_response>"))
        assert ("paper_id" in older) is (not is_deep)
        assert "Title 1" in older
        assert "paper_id" in newest


def test_the_messages_of_the_record_end_with_the_last_answer() -> None:
    trace, _ = run(search(), ChatTurn(DONE, thinking="hm"))
    assert [message["role"] for message in trace.messages] == ["system", "user", "assistant", "user", "assistant"]
    assert trace.messages[-1] == {"role": "assistant", "content": DONE, "reasoning_content": "hm"}


def test_counts_that_the_server_does_not_report_are_estimated_and_listed() -> None:
    class Silent(FakeChat):
        def complete(self, *args: Any, **kwargs: Any) -> ChatTurn:
            super().complete(*args, **kwargs)
            return ChatTurn(DONE)

    trace = ResearchAgent(Silent(""), table(), Limits()).run("Which?", is_deep=True)
    assert trace.turns[0]["estimated"] == ["input_tokens", "output_tokens"]
    assert trace.turns[0]["output_tokens"] == 1
