"""``LlmServer`` and interruptions; how it reacts to failing servers is tested in tests/fault/test_llm_*.py."""

from __future__ import annotations

import asyncio
import threading

import pytest

from autoresearch.core.llm_calls import Classification as End
from autoresearch.core.llm_calls import Message
from autoresearch.core.ports import Interrupted
from autoresearch.llm.async_bridge import AsyncBridge
from autoresearch.llm.client import Client
from autoresearch.llm.server import LlmServer
from tests.fake_llm import Behaviour, FakeLlm, Wire, says, says_no, silence

HELLO = (Message(role="user", content="hello"),)
SCHEMA = {"type": "object"}


def discovered(server: FakeLlm, stop: threading.Event | None = None, **fields) -> LlmServer:
    stop = stop or threading.Event()
    llm = LlmServer(Client(server.base_url, None), AsyncBridge(stop.is_set), notify=lambda _: None, **fields)
    assert llm.discover() is None
    return llm


def requests_stop(stop: threading.Event, then: Behaviour) -> Behaviour:
    """The user requests a stop just as the server does this."""

    def behave(wire: Wire) -> None:
        stop.set()
        then(wire)

    return behave


@pytest.mark.parametrize("then", [silence(), says_no(429, **{"retry-after": "50"})], ids=["silence", "a long wait"])
def test_a_stop_request_ends_a_call_and_it_can_be_made_again(then):
    stop = threading.Event()
    with FakeLlm(requests_stop(stop, then), says("hi")) as server:
        llm = discovered(server, stop)
        with pytest.raises(Interrupted):
            llm.ask(HELLO, SCHEMA)
        stop.clear()
        assert llm.ask(HELLO, SCHEMA).text == "hi"
        assert llm.breaker.failures == 0  # an interruption is not a failure of the server
        llm.close()


def test_a_stop_request_ends_a_discovery_and_it_can_be_made_again():
    stop = threading.Event()
    with FakeLlm(says("hi"), on_probe=requests_stop(stop, silence())) as server:
        llm = LlmServer(Client(server.base_url, None), AsyncBridge(stop.is_set), notify=lambda _: None)
        with pytest.raises(Interrupted):
            llm.discover()
        stop.clear()
        server.on_probe = None
        assert llm.discover() is None
        assert llm.structured == "enforced"
        llm.close()


def test_closing_works_while_a_stop_is_requested_and_twice():
    stop = threading.Event()
    with FakeLlm(says("hi")) as server:
        llm = discovered(server, stop)
        stop.set()
        llm.close()
        llm.close()
    with pytest.raises(RuntimeError, match="closed"):
        llm.bridge.run(asyncio.sleep(0), 1.0)


def test_a_server_is_not_asked_before_its_discovery():
    with FakeLlm(says("hi")) as server:
        llm = LlmServer(Client(server.base_url, None), AsyncBridge(), notify=lambda _: None)
        assert llm.ask(HELLO, SCHEMA).classification is End.UNREACHABLE
        assert llm.count_tokens("hello") is None
        assert server.requests == []
        llm.close()


def test_what_cannot_even_be_sent_is_an_answer_too():
    with FakeLlm(says("hi")) as server:
        llm = discovered(server)
        answer = llm.ask((Message.model_construct(role="user", content="\ud800"),), SCHEMA)
        assert answer.classification is End.MALFORMED_RESPONSE
        assert "UnicodeEncodeError" in answer.detail
        llm.close()


def test_tokens_are_counted_where_the_server_can_and_asked_for_once_where_it_cannot():
    with FakeLlm(says("hi"), tokens_of=len) as server:
        llm = discovered(server)
        assert [llm.count_tokens("hello"), llm.count_tokens("you")] == [5, 3]
        llm.close()
    with FakeLlm(says("hi")) as server:
        llm = discovered(server)
        assert [llm.count_tokens("hello"), llm.count_tokens("you")] == [None, None]
        paths = [r.path for r in server.requests if "token" in r.path]
        assert paths == ["/tokenize", "/extras/tokenize/count"]
        llm.close()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, 1024), ({"max_tokens": 300}, 300), ({"context": 1000}, 256), ({"context": 1 << 20}, 8192)],
)
def test_tokens_for_the_answer(fields, expected):
    with FakeLlm(says("hi")) as server:
        llm = discovered(server, **fields)
        llm.ask(HELLO, SCHEMA)
        assert server.chats[0].body["max_tokens"] == expected
        llm.close()


def test_the_first_answer_after_failures_is_reported():
    messages: list[str] = []
    with FakeLlm(says("hi"), on_models=says_no(503)) as server:
        llm = LlmServer(Client(server.base_url, None), AsyncBridge(), messages.append)
        assert llm.discover() is not None
        server.on_models = None
        assert llm.discover() is None
        assert llm.discover() is None
        assert messages == ["the LLM server answers: fake-model"]
        llm.close()


def test_where_the_template_opens_the_thinking_a_reply_that_is_cut_off_is_a_thought():
    with FakeLlm(says("so I think</think>{}"), says("so I think, and think", "length")) as server:
        llm = discovered(server)
        assert llm.ask(HELLO, SCHEMA).text == "{}"
        answer = llm.ask(HELLO, SCHEMA)
        assert (answer.classification, answer.text) == (End.THINK_TRUNCATED, "")
        assert answer.thinking == "so I think, and think"
        llm.close()
