"""The key of the LLM server stays out of every log, whatever the server does with it."""

from __future__ import annotations

import json

import pytest

from autoresearch.core.llm_calls import Classification as End
from tests.fake_llm import FakeLlm, answers, raw, says, says_no, sends
from tests.llm_world import KEY, world_of

GOOD = '{"knob": "lr", "new_value": 0.002, "reason": "twice"}'
SPELLED = KEY.replace("/", "\\/").replace("+", "\\u002B")  # as PHP and .NET write it


# ``World.run`` looks for the key, and for its beginning, in all that was written.


@pytest.mark.parametrize("padding", range(0, 320, 20))  # wherever the words are cut
def test_an_error_that_echoes_it(padding):
    body = b'{"error": "%s %s %s"}' % (b"x" * padding, KEY.encode(), SPELLED.encode())
    with FakeLlm(sends(body, 401)) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.REQUEST_REJECTED]
        assert SPELLED not in "".join(world.log.payloads)


@pytest.mark.parametrize("padding", range(0, 120, 20))
def test_a_page_that_echoes_it(padding):
    with FakeLlm(sends(f"<p>{'x' * padding}{KEY}</p>".encode())) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.MALFORMED_RESPONSE]


@pytest.mark.parametrize("line", ["Authorization: Bearer {}", "HTTP/1.1 200 OK\r\nAuthorization Bearer {}"])
def test_no_http_but_the_request_itself(line):
    echo = line.format(KEY).encode() + b"\r\n\r\n"
    with FakeLlm(raw(echo)) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.MALFORMED_RESPONSE]


def test_a_model_that_says_it():
    text = GOOD.replace("twice", f"the key is {KEY}")
    with FakeLlm(says(f"<think>{KEY}</think>{text}")) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.OK]
        assert world.log.exchanges[0].thinking == "[key]"


def test_a_model_that_is_called_so():
    with FakeLlm(says(GOOD), models=[KEY, "other"]) as server, world_of(server.base_url, wanted_model="third") as world:
        world.run()
        assert world.ends == [End.MODEL_GONE]
        assert "[key], other" in world.log.exchanges[0].detail


def test_a_list_of_models_that_refuses_it():
    refusal = says_no(401, f"Bearer {KEY} is not valid")
    with FakeLlm(says(GOOD), on_models=refusal) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.REQUEST_REJECTED]


def test_a_notification_does_not_contain_it():
    with FakeLlm(answers({"error": KEY}, 403)) as server, world_of(server.base_url, iters=5) as world:
        world.run()
        assert any("is not asked for" in line for line in world.messages)


def test_a_key_of_one_letter_is_no_secret_and_leaves_the_words_alone():
    with FakeLlm(says(GOOD)) as server, world_of(server.base_url, key="n") as world:
        world.loop.run()
        assert world.log.exchanges[0].raw == GOOD
        assert server.chats[0].headers["authorization"] == "Bearer n"


def test_the_environment_of_another_server_stays_at_home(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-elsewhere")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-elsewhere")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-elsewhere")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-elsewhere")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer elsewhere\nX-Secret: elsewhere")
    for key, sent in ((KEY, KEY), (None, "none")):
        with FakeLlm(says(GOOD)) as server, world_of(server.base_url, key=key) as world:
            world.loop.run()
            assert world.ends == [End.OK]
            assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {sent}"}
            assert "elsewhere" not in json.dumps([request.headers for request in server.requests])
