from __future__ import annotations

import threading

import pytest

from autoresearch.core.llm_calls import Message
from autoresearch.errors import ConfigError
from autoresearch.llm.async_bridge import AsyncBridge
from autoresearch.llm.client import MAX_BODY_BYTES, TOKENIZER_PATHS, BodyRefused, Client
from tests.fake_llm import FakeLlm, answers, says, sends

HELLO = (Message(role="user", content="hello"),)
SCHEMA = {"type": "object"}


@pytest.fixture
def bridge():
    made = AsyncBridge()
    yield made
    made.close()


def chat(client: Client, **changes):
    return client.chat("fake-model", HELLO, **{"max_tokens": 5, "temperature": 0.5, **changes})


def test_what_is_sent(bridge):
    with FakeLlm(says("hi"), tokens_of=len) as server:
        client = Client(server.base_url, None)
        bridge.run(client.models(), 5)
        bridge.run(chat(client), 5)
        bridge.run(chat(client, schema=SCHEMA), 5)
        bridge.run(chat(client, schema=SCHEMA, form="json_object"), 5)
        bridge.run(client.tokenize(TOKENIZER_PATHS[0], "fake-model", "hello"), 5)
    models, plain, structured, older, tokenize = server.requests
    assert (models.method, models.path) == ("GET", "/v1/models")
    assert (plain.method, plain.path) == ("POST", "/v1/chat/completions")
    messages = [{"role": "user", "content": "hello"}]
    assert plain.body == {"model": "fake-model", "messages": messages, "max_tokens": 5, "temperature": 0.5}
    assert structured.body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
    }
    assert older.body["response_format"] == {"type": "json_object", "schema": SCHEMA}
    assert (tokenize.path, tokenize.body["prompt"]) == ("/tokenize", "hello")
    expected = {"host", "accept", "user-agent", "authorization", "accept-encoding"}
    assert set(models.headers) == expected
    assert set(plain.headers) == expected | {"content-type", "content-length"}
    assert {r.headers["accept-encoding"] for r in server.requests} == {"identity"}


def test_a_cookie_is_not_kept(bridge):
    with FakeLlm(answers({}, **{"set-cookie": "a=b"})) as server:
        client = Client(server.base_url, None)
        for _ in range(2):
            bridge.run(chat(client), 5)
    assert "cookie" not in server.requests[1].headers


def test_a_body_may_be_as_long_as_it_may(bridge):
    with FakeLlm(sends(b"x" * MAX_BODY_BYTES), sends(b"x" * (MAX_BODY_BYTES + 1))) as server:
        client = Client(server.base_url, None)
        assert len(bridge.run(chat(client), 5)) == MAX_BODY_BYTES
        with pytest.raises(BodyRefused):
            bridge.run(chat(client), 5)


def test_bytes_come_back_as_they_were(bridge):
    body = bytes(range(256))
    with FakeLlm(sends(body, **{"content-type": "text/plain; charset=hex"})) as server:
        assert bridge.run(chat(Client(server.base_url, "a key to hide")), 5) == body


def test_proxies_of_the_environment_are_not_asked(bridge, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with FakeLlm(says("hi")) as server:
        assert bridge.run(chat(Client(server.base_url, None)), 5)


def test_a_name_is_looked_up_and_no_thread_is_left(bridge):
    before = set(threading.enumerate())
    with FakeLlm(says("hi")) as server:
        client = Client(server.base_url.replace("127.0.0.1", "localhost"), None)
        assert bridge.run(chat(client), 5)
        bridge.run(client.close(), 5)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("base_url", ["http://[::1", "http://host:port/v1", "http://\x00"])
def test_what_is_no_url_is_said_so(base_url):
    with pytest.raises(ConfigError, match=r"llm\.base_url"):
        Client(base_url, None)
