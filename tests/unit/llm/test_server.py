"""``LlmServer`` under an impatient user; what it makes of servers is in tests/fault/test_llm_*.py."""

from __future__ import annotations

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


def met(server: FakeLlm, wish: threading.Event | None = None, **fields) -> LlmServer:
    wish = wish or threading.Event()
    llm = LlmServer(Client(server.base_url, None), AsyncBridge(wish.is_set), notify=lambda _: None, **fields)
    assert llm.discover() is None
    return llm


def wishes(wish: threading.Event, then: Behaviour) -> Behaviour:
    """The user wants something else just as the server does this."""

    def behave(wire: Wire) -> None:
        wish.set()
        then(wire)

    return behave


@pytest.mark.parametrize("then", [silence(), says_no(429, **{"retry-after": "50"})], ids=["silence", "a long wait"])
def test_a_wish_ends_a_call_and_it_can_be_made_again(then):
    wish = threading.Event()
    with FakeLlm(wishes(wish, then), says("hi")) as server:
        llm = met(server, wish)
        with pytest.raises(Interrupted):
            llm.ask(HELLO, SCHEMA)
        wish.clear()
        assert llm.ask(HELLO, SCHEMA).text == "hi"
        assert llm.breaker.failures == 0  # an interruption is nobody's failure
        llm.close()


def test_a_wish_ends_a_meeting_and_it_can_be_made_again():
    wish = threading.Event()
    with FakeLlm(says("hi"), on_probe=wishes(wish, silence())) as server:
        llm = LlmServer(Client(server.base_url, None), AsyncBridge(wish.is_set), notify=lambda _: None)
        with pytest.raises(Interrupted):
            llm.discover()
        wish.clear()
        server.on_probe = None
        assert llm.discover() is None
        assert llm.structured == "enforced"
        llm.close()


def test_closing_is_no_matter_of_wishes():
    wish = threading.Event()
    with FakeLlm(says("hi")) as server:
        llm = met(server, wish)
        wish.set()
        llm.close()
        llm.close()


def test_who_has_not_been_met_is_not_asked():
    with FakeLlm(says("hi")) as server:
        llm = LlmServer(Client(server.base_url, None), AsyncBridge(), notify=lambda _: None)
        assert llm.ask(HELLO, SCHEMA).classification is End.UNREACHABLE
        assert llm.count_tokens("hello") is None
        assert server.requests == []
        llm.close()


def test_what_cannot_even_be_sent_is_an_answer_too():
    with FakeLlm(says("hi")) as server:
        llm = met(server)
        answer = llm.ask((Message.model_construct(role="user", content="\ud800"),), SCHEMA)
        assert answer.classification is End.MALFORMED_RESPONSE
        assert "UnicodeEncodeError" in answer.detail
        llm.close()


def test_tokens_are_counted_where_the_server_can_and_asked_for_once_where_it_cannot():
    with FakeLlm(says("hi"), tokens_of=len) as server:
        llm = met(server)
        assert [llm.count_tokens("hello"), llm.count_tokens("you")] == [5, 3]
        llm.close()
    with FakeLlm(says("hi")) as server:
        llm = met(server)
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
        llm = met(server, **fields)
        llm.ask(HELLO, SCHEMA)
        assert server.chats[0].body["max_tokens"] == expected
        llm.close()


def test_when_it_answers_at_last_that_is_said():
    said: list[str] = []
    with FakeLlm(says("hi"), on_models=says_no(503)) as server:
        llm = LlmServer(Client(server.base_url, None), AsyncBridge(), said.append)
        assert llm.discover() is not None
        server.on_models = None
        assert llm.discover() is None
        assert llm.discover() is None
        assert said == ["the LLM server answers: fake-model"]
        llm.close()


def test_where_the_template_opens_the_thinking_a_reply_that_is_cut_off_is_a_thought():
    with FakeLlm(says("so I think</think>{}"), says("so I think, and think", "length")) as server:
        llm = met(server)
        assert llm.ask(HELLO, SCHEMA).text == "{}"
        answer = llm.ask(HELLO, SCHEMA)
        assert (answer.classification, answer.text) == (End.THINK_TRUNCATED, "")
        assert answer.thinking == "so I think, and think"
        llm.close()
