"""However the server or the network fails: in time, with its name, once on record, and with a proposal all the same."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from email.utils import formatdate

import pytest

from autoresearch.core.llm_calls import Classification as End
from autoresearch.llm.retry import MAX_TRIES
from tests.fake_llm import (
    FakeLlm,
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
from tests.llm_world import PROMISED_S, World, world_of

GOOD = '{"knob": "lr", "new_value": 0.002, "reason": "twice"}'
WHOLE = json.dumps(completion({"role": "assistant", "content": GOOD})).encode()
SHORT_S = 0.4  # the deadline where the server uses it up
MIB = 1 << 20
EVENT_STREAM = b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\ndata: [DONE]\n\n'
PROXY_HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
JSON_TYPE = {"content-type": "application/json"}


SLOW = {
    "headers never come": silence(),
    "the body never comes": silence(head(200, {"content-length": "1000"})),
    "half a body, and then nothing": silence(head(200, {"content-length": "1000"}) + WHOLE[:50]),
    "half a header, and then nothing": silence(b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "a byte now and then": endless(b" ", 0.05, head(200, {**JSON_TYPE, "content-length": "100000"})),
    "a byte now and then, in chunks": endless(b"1\r\n \r\n", 0.05, head(200, {"transfer-encoding": "chunked"})),
    "a header now and then": endless(b"x-more: 1\r\n", 0.05, b"HTTP/1.1 200 OK\r\n"),
    "early hints for ever": endless(b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.05),
    "an error that drips": endless(b" ", 0.05, head(500, {"content-length": "100000"})),
}

BROKEN_CONNECTION = {
    "closed at once": raw(b""),
    "reset before the headers": reset(),
    "reset in the headers": reset(b"HTTP/1.1 200 OK\r\nContent-"),
    "reset in the body": reset(head(200, {"content-length": "1000"}) + WHOLE[:50]),
    "closed before the promised length": raw(head(200, {"content-length": str(2 * len(WHOLE))}) + WHOLE),
    "closed in a chunk": raw(head(200, {"transfer-encoding": "chunked"}) + b"ff\r\nabc"),
}

MALFORMED = {
    "a huge reply": sends(b" " * (4 * MIB) + WHOLE),
    "an endless reply": endless(b"x" * MIB, 0, head(200, {})),
    "an endless error": endless(b"x" * MIB, 0, head(500, {})),
    "endless headers": endless(b"x-more: %s\r\n" % (b"y" * 8000), 0, b"HTTP/1.1 200 OK\r\n"),
    "gzip": sends(gzip.compress(WHOLE), **JSON_TYPE, **{"content-encoding": "gzip"}),
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "binary": raw(bytes(range(256)) * 4),
    "a TLS alert": raw(b"\x15\x03\x01\x00\x02\x02\x46"),
    "two different lengths": raw(head(200, {"content-length": "3", "Content-Length": "4"}) + b"abc"),
    "a length that is not a number": raw(head(200, {"content-length": "many"}) + WHOLE),
    "a chunk that is none": raw(head(200, {"transfer-encoding": "chunked"}) + b"zz\r\nabc"),
    "HTML": sends(b"<!doctype html><html>Welcome to nginx!</html>", **{"content-type": "text/html"}),
    "nothing at all": sends(b""),
    "204": raw(head(204, {})),
    "broken JSON": sends(WHOLE[:-5]),
    "an event stream": sends(EVENT_STREAM, **{"content-type": "text/event-stream"}),
    "bytes that are not text": sends(b"\xff\xfe\xfa" * 9),
    "too deep": sends(b"[" * 100_000),
    "a number without end": sends(b'{"choices": ' + b"9" * 10_000 + b"}"),
    "a list": answers([1, 2]),
    "a word": answers("hello"),
    "null": answers(None),
    "no choices": answers({"id": "1", "object": "chat.completion"}),
    "empty choices": answers({"choices": []}),
    "choices are null": answers({"choices": None}),
    "choices are a word": answers({"choices": "yes"}),
    "choices are a table": answers({"choices": {"0": {}}}),
    "a choice is null": answers({"choices": [None]}),
    "no message": answers({"choices": [{"text": GOOD}]}),
    "message is null": answers({"choices": [{"message": None}]}),
    "message is a list": answers({"choices": [{"message": [GOOD]}]}),
    "content is a number": says(42),
    "content is an empty table": says({}),
}

REJECTED = {
    "301": says_no(301, location="/v1/chat/completions"),
    "302 for ever": says_no(302, location="/v1/chat/completions"),
    "307 to elsewhere": says_no(307, location="http://203.0.113.1/v1/chat/completions"),
    "a redirect to no URL": says_no(302, location="http://[::"),
    "400": says_no(400, "temperature must be below 2"),
    "400 that speaks of lengths": says_no(400, "max_tokens must be at least 1; the length of stop is 5, not 4 tokens"),
    "400 that speaks of context": says_no(400, "context_id is no field of the request"),
    "400 of no known form": sends(b"\x00\xff\xfe", 400),
    "401": says_no(401, "Incorrect API key provided"),
    "402": says_no(402, "pay first"),
    "403": says_no(403, "forbidden"),
    "404 of a wrong path": answers({"detail": "Not Found"}, 404),
    "405": answers({"detail": "Method Not Allowed"}, 405),
    "411": says_no(411),
    "422": answers({"detail": [{"loc": ["body", "max_tokens"], "msg": "extra fields not permitted"}]}, 422),
    "a status from beyond": says_no(499, "client closed the request"),
    "a charset that raises": sends(b"no", 400, **{"content-type": "text/plain; charset=undefined"}),
    "a charset that does not exist": sends(b"no", 400, **{"content-type": "application/json; charset=hex"}),
    "a broken cookie": says_no(400, **{"set-cookie": "a=b; expires=never; Path=\x01; Max-Age=1e9"}),
}

SERVER_ERROR = {
    "500": says_no(500, "CUDA out of memory"),
    "500 without a word": sends(b"", 500),
    "501": says_no(501),
    "502 of a proxy": sends(PROXY_HTML, 502, **{"content-type": "text/html"}),
    "503": says_no(503, "Loading model"),
    "504": says_no(504, "upstream timed out"),
    "599": says_no(599),
    "500 about no context": says_no(500, "context deadline exceeded"),
}

RATE_LIMITED = {
    "429": says_no(429),
    "429, retry in an hour": says_no(429, **{"retry-after": "3600"}),
    "429, retry tomorrow": says_no(429, **{"retry-after": formatdate(2e9, usegmt=True)}),
    "429, retry in seconds that are nonsense": says_no(429, **{"retry-after": "soon"}),
    "429, retry in a year that is none": says_no(429, **{"retry-after": "Mon, 1 Jan 99999999999999 00:00:00 GMT"}),
    "429, retry in bytes": says_no(429, **{"retry-after": "\x80\xff"}),
    "429, retry in the past": says_no(429, **{"retry-after": formatdate(0, usegmt=True)}),
    "429, retry before now": says_no(429, **{"retry-after": "-5"}),
    "429 of a token budget": says_no(429, "maximum context length of your plan exceeded"),
}

MODEL_GONE = {
    "as vLLM says it": answers(
        {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}, 404
    ),
    "as vLLM says it, with a path for a name": says_no(404, f"The model `/models/{'x' * 200}` does not exist."),
    "as Ollama says it": answers({"error": {"message": 'model "x" not found, try pulling it first'}}, 404),
    "as OpenAI says it": answers({"error": {"message": "no access", "code": "model_not_found"}}, 404),
    "as LM Studio says it": says_no(400, "Model 'x' is not loaded"),
}

TRIED_AGAIN = {End.UNREACHABLE, End.RATE_LIMITED, End.SERVER_ERROR}
FAILURES = [
    (end, name, behaviour)
    for end, rows in {
        End.UNREACHABLE: BROKEN_CONNECTION,
        End.MALFORMED_RESPONSE: MALFORMED,
        End.REQUEST_REJECTED: REJECTED,
        End.SERVER_ERROR: SERVER_ERROR,
        End.RATE_LIMITED: RATE_LIMITED,
        End.MODEL_GONE: MODEL_GONE,
    }.items()
    for name, behaviour in rows.items()
]


def check_that_it_failed_once(world: World, end: End) -> None:
    world.run()
    assert world.ends == [end]
    assert world.sources == ["random"]
    assert world.log.exchanges[0].detail


@pytest.mark.parametrize(("end", "name", "behaviour"), FAILURES, ids=[f"{end}-{name}" for end, name, _ in FAILURES])
def test_a_failure_has_its_name_and_the_fallback_proposes(end, name, behaviour):
    with FakeLlm(behaviour) as server, world_of(server.base_url) as world:
        check_that_it_failed_once(world, end)
        is_hopeless = "hour" in name or "tomorrow" in name  # longer than the call may take
        assert world.log.exchanges[0].tries >= (MAX_TRIES if end in TRIED_AGAIN and not is_hopeless else 1)


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_server_is_a_timeout_however_much_it_still_sends(name):
    with FakeLlm(SLOW[name]) as server, world_of(server.base_url, deadline_s=SHORT_S) as world:
        check_that_it_failed_once(world, End.TIMEOUT)
        assert SHORT_S <= world.log.exchanges[0].latency_s < SHORT_S + PROMISED_S


def test_a_408_is_a_timeout_and_not_tried_again():
    with FakeLlm(says_no(408, "request timed out")) as server, world_of(server.base_url) as world:
        check_that_it_failed_once(world, End.TIMEOUT)
        assert len(server.chats) == 1


@pytest.mark.parametrize("scheme", ["http", "https", "htp"])
def test_no_server_is_unreachable(scheme):
    with refusing() as base_url, world_of(base_url.replace("http", scheme, 1)) as world:
        check_that_it_failed_once(world, End.UNREACHABLE)


def test_a_server_without_tls_is_unreachable_by_https():
    with FakeLlm(says(GOOD)) as server, world_of(server.base_url.replace("http", "https")) as world:
        check_that_it_failed_once(world, End.UNREACHABLE)


def test_a_name_that_does_not_exist_is_unreachable(monkeypatch):
    def no_such_name(*_args, **_flags):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    with world_of("http://no-such-host.invalid:8000/v1") as world:
        check_that_it_failed_once(world, End.UNREACHABLE)


def test_a_name_server_that_does_not_answer_is_a_timeout(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_flags: release.wait(60) and [])
    with world_of("http://llm.example:8000/v1", deadline_s=SHORT_S) as world:
        check_that_it_failed_once(world, End.TIMEOUT)
    release.set()


@pytest.mark.parametrize(
    "first",
    [says_no(503, "Loading model"), says_no(429), says_no(429, **{"retry-after": "0"}), reset(), raw(b"")],
    ids=["503", "429", "429, at once", "reset", "closed"],
)
def test_what_passes_is_tried_again(first):
    with FakeLlm(first, says(GOOD)) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.OK]
        assert world.log.exchanges[0].tries == 2
