"""The chat of a bench run before servers that answer in every way: a turn, an overflow, or a named failure, in time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from autoresearch.benches import chat as chat_module
from autoresearch.benches.chat import Sampling, ServerChat
from autoresearch.benches.ports import ContextOverflow, Infrastructure, NativeToolCall, WrongModel
from autoresearch.core.ports import Interrupted
from autoresearch.llm.async_bridge import AsyncBridge
from autoresearch.llm.client import Client
from autoresearch.llm.parse import Model
from tests.fake_llm import (
    Behaviour,
    FakeLlm,
    Wire,
    answers,
    completion,
    endless,
    head,
    raw,
    refusing,
    reset,
    says,
    says_no,
    sends,
    silence,
)

USER = ({"role": "user", "content": "hello"},)
TOOLS = ({"type": "function", "function": {"name": "search", "parameters": {}}},)
PROMISED_S = 5.0  # past the deadline, on a busy machine
KEY = "sk-local/0123456789abcdef+Zz"


@contextmanager
def chat_of(base_url: str, **fields: Any) -> Iterator[ServerChat]:
    fields = {"deadline_s": 5.0, "backoff_s": 0.001, "model": Model("fake-model", 8192), **fields}
    bridge = AsyncBridge(fields.pop("interrupted", lambda: False))
    chat = ServerChat(Client(base_url, KEY), bridge, key=KEY, **fields)
    try:
        yield chat
    finally:
        chat.close()


def failure(*script: Behaviour, **fields: Any) -> Infrastructure:
    """How the chat fails before this script."""
    with FakeLlm(*script) as server, chat_of(server.base_url, **fields) as chat:
        began = time.monotonic()
        with pytest.raises(Infrastructure) as failed:
            chat.complete(USER)
        assert time.monotonic() - began < chat.deadline_s + PROMISED_S
        assert KEY not in failed.value.detail
        return failed.value


FAILURES: dict[str, tuple[Behaviour, str]] = {
    "500": (says_no(500, "oops"), "server_error"),
    "503": (says_no(503, "loading model"), "server_error"),
    "429": (says_no(429, "slow down", retry_after="0"), "rate_limited"),
    "401": (says_no(401, f"wrong key {KEY}"), "request_rejected"),
    "400": (says_no(400, "bad request"), "request_rejected"),
    "404 of the model": (says_no(404, "The model `x` does not exist."), "model_gone"),
    "HTML with 200": (sends(b"<html>Gateway</html>", content_type="text/html"), "malformed_response"),
    "no choices": (answers({"id": "x"}), "malformed_response"),
    "an error with 200": (answers({"error": {"message": "CUDA error: out of memory"}}), "server_error"),
    "an error as a reply": (says("CUDA error: an illegal memory access was encountered"), "server_error"),
    "broken JSON": (sends(b'{"choices": [{"mess'), "malformed_response"),
    "a reset": (reset(), "unreachable"),
    "a reset midway": (reset(head(200, {"content-length": "100"}) + b'{"choices"'), "unreachable"),
    "not HTTP": (raw(b"\x15\x03\x01\x00\x02\x02\x0a\r\n\r\n"), "malformed_response"),
    "silence": (silence(), "timeout"),
    "a slow drip": (endless(b" ", 0.05, head(200, {"content-length": "999999"})), "timeout"),
    "an endless body": (endless(b" " * 65536, 0.0, head(200, {})), "malformed_response"),
    "a compressed body": (sends(b"\x1f\x8b", content_encoding="gzip"), "malformed_response"),
}


@pytest.mark.parametrize("name", list(FAILURES))
def test_a_failure_of_the_server_is_named_and_comes_in_time(name: str) -> None:
    behaviour, cause = FAILURES[name]
    assert failure(behaviour, deadline_s=0.4 if cause == "timeout" else 5.0).cause == cause


def test_nobody_listens() -> None:
    with refusing() as url, chat_of(url) as chat, pytest.raises(Infrastructure, match="unreachable"):
        chat.complete(USER)


@pytest.mark.parametrize(
    "first", [says_no(500, "oops"), says_no(503, "busy"), reset(), says_no(429, "x", retry_after="0")]
)
def test_what_may_be_over_in_a_moment_is_tried_again(first: Behaviour) -> None:
    with FakeLlm(first, says("hello")) as server, chat_of(server.base_url) as chat:
        assert chat.complete(USER).text == "hello"
        assert len(server.chats) == 2


class TestTurns:
    def turn(self, behaviour: Behaviour, **request: Any) -> Any:
        with FakeLlm(behaviour) as server, chat_of(server.base_url) as chat:
            return chat.complete(USER, **request)

    def test_text_counts_and_latency(self) -> None:
        turn = self.turn(says("hello"))
        assert (turn.text, turn.finish_reason, turn.model, turn.tokens_in, turn.tokens_out) == (
            "hello",
            "stop",
            "fake-model",
            3000,
            20,
        )
        assert turn.latency_s > 0

    @pytest.mark.parametrize(
        ("behaviour", "text", "thinking"),
        [
            (says("<think>hm</think>yes"), "yes", "hm"),
            (says("hm</think>yes"), "yes", "hm"),
            (says("yes", reasoning_content="hm"), "yes", "hm"),
            (says("yes", reasoning="hm"), "yes", "hm"),
            (says("<think>never ends", "length"), "", "never ends"),
            (says(None, "length", reasoning_content="hm"), "", "hm"),
            (says(""), "", ""),
        ],
    )
    def test_thinking_is_separated(self, behaviour: Behaviour, text: str, thinking: str) -> None:
        turn = self.turn(behaviour)
        assert (turn.text, turn.thinking) == (text, thinking)

    def test_cut_thinking_whose_template_opens_it_is_no_answer(self) -> None:
        """Such a reply has no tag at all: what earlier ones had, or the probe's, shows it."""
        cut = says("so the answer may be \\boxed{3}, but wait", "length")
        with FakeLlm(cut, says("hm</think>yes"), cut) as server, chat_of(server.base_url) as chat:
            assert chat.complete(USER).text.startswith("so the answer")
            assert chat.complete(USER).text == "yes"
            turn = chat.complete(USER)
            assert (turn.text, turn.thinking[:13], turn.finish_reason) == ("", "so the answer", "length")
        with FakeLlm(cut) as server, chat_of(server.base_url, think_style="closing tag") as chat:
            assert chat.complete(USER).text == ""

    def test_a_cut_answer_is_a_turn(self) -> None:
        assert self.turn(says("The answer is", "length")).finish_reason == "length"

    def test_an_answer_longer_than_a_proposal_is_kept_whole(self) -> None:
        text = f"{'word ' * 100_000}\\boxed{{7}}"
        assert self.turn(says(text)).text == text

    def test_a_count_that_is_missing_or_odd_is_unknown(self) -> None:
        message = {"role": "assistant", "content": "hello"}
        for usage in (None, {}, {"prompt_tokens": "3", "completion_tokens": -1}, [1]):
            turn = self.turn(answers(completion(message, usage=usage)))
            assert (turn.tokens_in, turn.tokens_out) == (None, None)

    def test_several_tool_calls_in_order(self) -> None:
        calls = [
            {"id": "a", "type": "function", "function": {"name": "search", "arguments": '{"query": "x"}'}},
            {"id": "b", "type": "function", "function": {"name": "finish", "arguments": '{"ids": [1'}},
            {"type": "function", "function": {"name": "search", "arguments": {"query": "é"}}},
            {"id": "d", "function": {"name": "list", "arguments": None}},
        ]
        turn = self.turn(says(None, "tool_calls", tool_calls=calls), tools=TOOLS)
        assert turn.tool_calls == (
            NativeToolCall("a", "search", '{"query": "x"}'),
            NativeToolCall("b", "finish", '{"ids": [1'),
            NativeToolCall("call_2", "search", '{"query": "é"}'),
            NativeToolCall("d", "list", "{}"),
        )
        assert turn.text == ""

    @pytest.mark.parametrize(
        "garbage",
        [
            "text",
            {"a": 1},
            [None],
            [7],
            [{}],
            [{"function": "search"}],
            [{"function": {}}],
            [{"function": {"name": ""}}],
            [{"function": {"name": ["search"]}}],
            [{"function": {"name": "search", "arguments": 7}}],
            [[[[]]]],
        ],
    )
    def test_malformed_tool_calls_stay_readable_as_text(self, garbage: Any) -> None:
        turn = self.turn(says("before", tool_calls=garbage))
        assert turn.tool_calls == ()
        first, _, rest = turn.text.partition("\n")
        assert first == "before"
        assert json.loads(rest) == (garbage[0] if isinstance(garbage, list) else garbage)

    def test_a_call_beside_a_malformed_one_is_kept(self) -> None:
        calls = [{"oops": 1}, {"id": "a", "function": {"name": "search", "arguments": "{}"}}]
        turn = self.turn(says(None, tool_calls=calls))
        assert turn.tool_calls == (NativeToolCall("a", "search", "{}"),)
        assert json.loads(turn.text) == {"oops": 1}

    def test_the_older_field_of_one_call(self) -> None:
        turn = self.turn(says(None, function_call={"name": "search", "arguments": "{}"}))
        assert turn.tool_calls == (NativeToolCall("call_0", "search", "{}"),)

    def test_half_surrogates_are_replaced(self) -> None:
        call = {"id": "a", "function": {"name": "search", "arguments": "\ud800"}}
        turn = self.turn(says("\udfff", tool_calls=[call]))
        assert (turn.text, turn.tool_calls[0].arguments) == ("?", "?")


class TestRequests:
    def test_everything_is_sent_under_its_name(self) -> None:
        sampling = Sampling(temperature=0.2, top_p=0.9, max_tokens=77, seed=5)
        with FakeLlm(says("hello")) as server, chat_of(server.base_url, sampling=sampling) as chat:
            chat.begin(3)
            chat.complete(USER, tools=TOOLS)
            chat.complete(USER, max_tokens=9, seed=1)
            first, second = (request.body for request in server.chats)
        assert first == {
            "model": "fake-model",
            "messages": list(USER),
            "tools": list(TOOLS),
            "temperature": 0.2,
            "top_p": 0.9,
            "max_tokens": 77,
            "seed": 8,
        }
        assert (second["max_tokens"], second["seed"], "tools" in second) == (9, 1, False)

    def test_without_values_nothing_is_sent(self) -> None:
        with FakeLlm(says("hello")) as server, chat_of(server.base_url) as chat:
            chat.begin(3)
            chat.complete(USER)
            assert server.chats[0].body.keys() == {"model", "messages", "max_tokens", "temperature"}
            assert server.chats[0].body["max_tokens"] == 2048

    @pytest.mark.parametrize("refused", ["max_tokens", "temperature", "top_p", "seed"])
    def test_a_parameter_that_is_refused_by_name_is_left_out_from_then_on(self, refused: str) -> None:
        def refuse(wire: Wire) -> None:
            known = refused not in wire.request.body
            (says("hello") if known else says_no(400, f"Unsupported parameter: '{refused}'"))(wire)

        messages: list[str] = []
        sampling = Sampling(top_p=0.9, seed=5)
        with FakeLlm(refuse) as server, chat_of(server.base_url, sampling=sampling, notify=messages.append) as chat:
            chat.begin(0)
            assert chat.complete(USER).text == "hello"
            assert chat.complete(USER).text == "hello"
            assert len(server.chats) == 3
        assert len(messages) == 1
        assert refused in messages[0]

    def test_messages_of_tools_pass_unchanged(self) -> None:
        call = {"id": "a", "type": "function", "function": {"name": "search", "arguments": "{}"}}
        messages = [
            *USER,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "a", "content": "nothing found"},
        ]
        with FakeLlm(says("hello")) as server, chat_of(server.base_url) as chat:
            chat.complete(messages)
            assert server.requests[-1].body["messages"] == messages


class TestOverflow:
    VLLM = (
        "This model's maximum context length is 4096 tokens. However, you requested 5048 tokens "
        "(3000 in the messages, 2048 in the completion)."
    )
    NEWER = (
        "This model's maximum context length is 4096 tokens. However, you requested 2048 output tokens and your prompt "
        "contains at least 3,000 input tokens, for a total of at least 5048 tokens."
    )

    @pytest.mark.parametrize("message", [VLLM, NEWER])
    def test_the_completion_is_shortened_to_what_fits(self, message: str) -> None:
        with FakeLlm(says_no(400, message), says("hello")) as server, chat_of(server.base_url) as chat:
            assert chat.complete(USER).text == "hello"
            assert [request.body["max_tokens"] for request in server.chats] == [2048, 1096]
            assert chat.context_tokens == 4096

    def test_without_numbers_the_prompt_is_counted(self) -> None:
        message = "context length is only 2048 tokens: prompt and completion exceed it"
        with FakeLlm(says_no(400, message), says("hello"), tokens_of=lambda _text: 1000) as server:
            with chat_of(server.base_url) as chat:
                assert chat.complete(USER).text == "hello"
            assert [request.body["max_tokens"] for request in server.chats] == [2048, 2048 - 1000 - 16]

    @pytest.mark.parametrize(
        ("message", "length"),
        [
            ("This model's maximum context length is 4096 tokens, and 9000 in the messages", 4096),
            ("Requested tokens (9000) exceed context window of 512", 512),
            ("the request exceeds the available context size. try increasing it", None),
            ("context_length_exceeded", None),
        ],
    )
    def test_a_prompt_that_does_not_fit_is_an_overflow_with_the_length(self, message: str, length: int | None) -> None:
        long = ({"role": "user", "content": "word " * 9000},)
        with FakeLlm(says_no(400, message)) as server, chat_of(server.base_url) as chat:
            with pytest.raises(ContextOverflow) as overflow:
                chat.complete(long)
            assert overflow.value.context_tokens == length
            assert message[:20] in overflow.value.detail
            assert len(server.chats) == 1


class TestModel:
    def test_another_model_is_refused_before_an_attempt(self) -> None:
        with FakeLlm(says("hello"), models=("other",)) as server, chat_of(server.base_url) as chat:
            with pytest.raises(WrongModel, match="asks fake-model; the server now has other"):
                chat.begin(0)
            assert server.chats == []

    def test_and_after_a_restart_in_the_middle_of_a_call(self) -> None:
        def restart(wire: Wire) -> None:
            server.models = ["other"]
            reset()(wire)

        with FakeLlm(restart, says("hello")) as server, chat_of(server.base_url) as chat:
            chat.begin(0)
            with pytest.raises(WrongModel, match="the server now has other"):
                chat.complete(USER)

    def test_and_where_only_the_reply_shows_it(self) -> None:
        """A server that takes any name, as llama.cpp's does, restarted between two calls."""
        body = completion({"role": "assistant", "content": "hello"}, model="other")
        with FakeLlm(answers(body)) as server, chat_of(server.base_url) as chat:
            chat.begin(0)
            server.on_models = answers({"data": [{"id": "other"}]})
            with pytest.raises(WrongModel):
                chat.complete(USER)

    def test_a_reply_under_another_name_of_the_same_model_is_taken(self) -> None:
        body = completion({"role": "assistant", "content": "hello"}, model="fake-model-2026-11-01")
        with FakeLlm(answers(body)) as server, chat_of(server.base_url) as chat:
            assert chat.complete(USER).text == chat.complete(USER).text == "hello"
            assert sum(request.path.endswith("/models") for request in server.requests) == 1

    @pytest.mark.parametrize("models", [says_no(500, "oops"), answers({"data": []}), sends(b"<html>")])
    def test_a_server_that_chats_but_lists_nothing_is_asked(self, models: Behaviour) -> None:
        with FakeLlm(says("hello"), on_models=models) as server, chat_of(server.base_url) as chat:
            chat.begin(0)
            assert chat.complete(USER).text == "hello"

    def test_a_server_that_lists_nothing_while_it_generates_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(chat_module, "CHECK_S", 0.2)
        with FakeLlm(says("hello"), on_models=silence()) as server, chat_of(server.base_url) as chat:
            chat.begin(0)
            assert chat.complete(USER).text == "hello"

    def test_a_server_that_is_down_fails_the_attempt_at_its_beginning(self) -> None:
        with refusing() as url, chat_of(url) as chat, pytest.raises(Infrastructure, match="unreachable"):
            chat.begin(0)


def test_a_server_that_is_restarted_midway_is_found_again() -> None:
    with FakeLlm(says("one")) as server, chat_of(server.base_url, backoff_s=0.01) as chat:
        assert chat.complete(USER).text == "one"
        server.script[:] = [reset(), says_no(503, "loading model"), says("two")]
        assert chat.complete(USER).text == "two"


class TestThreads:
    def test_it_works_outside_the_main_thread(self) -> None:
        found: list[str] = []

        def work() -> None:
            with chat_of(server.base_url) as chat:
                found.append(chat.complete(USER).text)

        with FakeLlm(says("hello")) as server:
            threads = [threading.Thread(target=work) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(10)
        assert found == ["hello"] * 3

    def test_a_stop_ends_a_call_at_once(self) -> None:
        asked = threading.Event()

        def hang(wire: Wire) -> None:
            asked.set()
            wire.wait_until_gone()

        with FakeLlm(hang) as server, chat_of(server.base_url, deadline_s=60, interrupted=asked.is_set) as chat:
            began = time.monotonic()
            with pytest.raises(Interrupted):
                chat.complete(USER)
            assert time.monotonic() - began < 30


class TestCount:
    def test_the_server_counts_where_it_can(self) -> None:
        with FakeLlm(says("x"), tokens_of=lambda text: len(text)) as server, chat_of(server.base_url) as chat:
            assert chat.count_tokens("hello") == 5
            assert chat.count_tokens("") == 0

    def test_else_it_is_estimated_without_asking_again(self) -> None:
        with FakeLlm(says("x")) as server, chat_of(server.base_url) as chat:
            assert chat.count_tokens("hello world") == chat.count_tokens("hello world") > 0
            assert sum("tokenize" in request.path for request in server.requests) == 2  # two servers' paths, once each

    def test_also_while_the_server_is_down(self) -> None:
        with refusing() as url, chat_of(url) as chat:
            assert chat.count_tokens("hello") > 0


@pytest.mark.parametrize(
    ("of_the_run", "of_the_call", "sent"),
    [(None, 4096, 4096), (96, 4096, 96), (4096, 96, 96), (96, None, 96), (None, None, 2048)],
)
def test_the_smaller_of_the_two_limits_of_a_completion_holds(
    of_the_run: int | None, of_the_call: int | None, sent: int
) -> None:
    with (
        FakeLlm(says("yes")) as server,
        chat_of(server.base_url, sampling=Sampling(temperature=0.7, max_tokens=of_the_run)) as chat,
    ):
        chat.complete(USER, max_tokens=of_the_call)
    assert server.chats[-1].body["max_tokens"] == sent
