"""Discovery: which model the server has, whether it enforces a schema, and when the server is not asked."""

from __future__ import annotations

import json

import pytest

from autoresearch.core.llm_calls import Classification as End
from tests.fake_llm import FakeLlm, answers, endless, head, refusing, says, says_no, sends, silence
from tests.llm_world import world_of

GOOD = '{"knob": "lr", "new_value": 0.002, "reason": "twice"}'
OTHER = '{"knob": "beta1", "new_value": 0.8, "reason": "less"}'
LOADING = says_no(503, "Loading model")
THINKS_TOO_LONG = says("<think>A greeting? With a word?", "length")


def listing(*entries: object) -> dict[str, object]:
    return {"object": "list", "data": list(entries)}


# What a schema does on this server.


@pytest.mark.parametrize(
    ("schema", "found", "form"),
    [
        ("enforced", "enforced", "json_schema"),
        ("json_object", "enforced", "json_object"),
        ("ignored", "ignored", None),
        ("rejected", "rejected", None),
    ],
)
def test_a_schema_goes_along_in_the_form_that_the_server_enforces(schema, found, form):
    with FakeLlm(says(GOOD), schema=schema) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.OK]
        assert world.llm.structured == found
        assert world.log.exchanges[0].structured is (form is not None)
        assert server.chats[0].body.get("response_format", {}).get("type") == form


def test_a_server_is_probed_once_and_not_before_every_conversation():
    with FakeLlm(says(GOOD), says(OTHER)) as server, world_of(server.base_url, iters=2) as world:
        world.run()
        assert world.sources == ["nim", "nim"]
        assert len(server.probes) == 1


def test_a_model_that_thinks_through_the_whole_probe_is_sent_the_schema_and_not_probed_for_ever():
    script = (says(GOOD), says(OTHER))
    with FakeLlm(*script, on_probe=THINKS_TOO_LONG) as server, world_of(server.base_url, iters=2) as world:
        world.run()
        assert world.llm.structured == "unknown"
        assert [exchange.structured for exchange in world.log.exchanges] == [True, True]
        assert len(server.probes) == 1


@pytest.mark.parametrize(
    ("busy", "end"),
    [(LOADING, End.SERVER_ERROR), (says_no(429), End.RATE_LIMITED), (says_no(401), End.REQUEST_REJECTED)],
    ids=["503", "429", "401"],
)
def test_a_server_that_answers_nothing_yet_is_not_one_without_schemas(busy, end):
    with FakeLlm(says(GOOD), says(OTHER), on_probe=busy) as server, world_of(server.base_url, iters=2) as world:
        world.loop.iters = 1
        world.run()
        assert (world.ends, world.sources) == ([end], ["random"])
        server.on_probe, world.loop.iters = None, 2
        world.run()
        assert world.ends[1:] == [End.OK]
        assert world.llm.structured == "enforced"


def test_a_probe_that_takes_too_long_is_a_timeout():
    with FakeLlm(says(GOOD), on_probe=silence()) as server, world_of(server.base_url, deadline_s=0.4) as world:
        world.run()
        assert world.ends == [End.TIMEOUT]
        assert len(server.probes) == 1


@pytest.mark.parametrize(
    ("refusal", "then"),
    [(says_no(400, "grammar too large"), "rejected"), (says_no(500), "enforced")],
    ids=["400", "500"],
)
def test_a_schema_that_is_refused_later_is_left_out(refusal, then):
    script = [*[refusal] * (3 if then == "enforced" else 1), says(GOOD)]
    with FakeLlm(*script) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.OK]
        assert world.log.exchanges[0].structured is False
        assert world.log.exchanges[0].tries == len(script)
        assert world.llm.structured == then  # a 5xx may have passed by itself


# Which model is asked.


@pytest.mark.parametrize(
    ("listed", "end"),
    [
        (says_no(500), End.SERVER_ERROR),
        (says_no(404), End.REQUEST_REJECTED),
        (sends(b"<html>"), End.MALFORMED_RESPONSE),
        (answers([]), End.MALFORMED_RESPONSE),
        (answers(listing()), End.MODEL_GONE),
        (answers(listing({"id": None}, {"id": ""}, {}, 7, {"id": "\ud800"}, {"id": "x" * 5000})), End.MODEL_GONE),
        (silence(), End.TIMEOUT),
    ],
    ids=["500", "404", "HTML", "a list", "no models", "no model with a name", "silence"],
)
def test_without_a_model_no_chat_is_sent(listed, end):
    deadline_s = 0.5 if end is End.TIMEOUT else 30.0  # an answer may be late on a busy machine
    with FakeLlm(says(GOOD), on_models=listed) as server, world_of(server.base_url, deadline_s=deadline_s) as world:
        world.run()
        assert world.ends == [end]
        assert world.sources == ["random"]
        assert server.chats == server.probes == []


@pytest.mark.parametrize("listed", [says_no(500), says_no(404), sends(b"<html>")], ids=["500", "404", "HTML"])
def test_a_configured_model_needs_no_list(listed):
    wanted = {"wanted_model": "fake-model"}
    with FakeLlm(says(GOOD), on_models=listed) as server, world_of(server.base_url, **wanted) as world:
        world.run()
        assert world.ends == [End.OK]


def test_a_list_that_times_out_does_not_count_where_the_model_is_known():
    """The server may still generate the reply to a call that timed out."""
    script = (says(GOOD), silence(), says(OTHER))
    with FakeLlm(*script) as server, world_of(server.base_url, iters=3, deadline_s=1.0) as world:
        world.loop.iters = 1
        world.run()
        server.on_models, world.loop.iters = silence(), 3
        world.run()
        assert world.ends == [End.OK, End.TIMEOUT, End.OK]
        assert world.sources == ["nim", "random", "nim"]
        assert world.llm.breaker.failures == 0
        assert world.messages == []


@pytest.mark.parametrize("listed", [silence(), endless(b" ", 0.05, head(200, {"content-length": "9999"}))])
def test_a_list_that_times_out_does_not_count_where_the_model_is_configured(listed):
    limits = {"wanted_model": "fake-model", "deadline_s": 1.0}
    with FakeLlm(says(GOOD), on_models=listed) as server, world_of(server.base_url, **limits) as world:
        world.run()
        assert (world.ends, world.llm.structured) == ([End.OK], "enforced")


def test_a_server_that_is_gone_is_not_asked_although_the_model_is_known():
    with FakeLlm(says(GOOD), says(OTHER)) as server, world_of(server.base_url, iters=2) as world:
        world.loop.iters = 1
        world.run()
        server.close()
        world.loop.iters = 2
        world.run()
        assert world.ends == [End.OK, End.UNREACHABLE]


def test_a_configured_model_that_is_not_listed_is_gone():
    with FakeLlm(says(GOOD), models=["a", "b"]) as server, world_of(server.base_url, wanted_model="c") as world:
        world.run()
        assert world.ends == [End.MODEL_GONE]
        assert "a, b" in world.log.exchanges[0].detail


def test_a_model_that_changes_between_conversations_is_noticed():
    with FakeLlm(says(GOOD), says(OTHER), models=["old"]) as server, world_of(server.base_url, iters=2) as world:
        world.loop.iters = 1
        world.run()
        server.models, server.schema, world.loop.iters = ["new"], "ignored", 2
        world.run()
        assert [chat.body["model"] for chat in server.chats] == ["old", "new"]
        assert world.messages == ["the LLM server has another model now: new in place of old"]
        assert world.llm.structured == "ignored"


def test_a_model_that_goes_in_the_middle_and_another_that_comes_are_noticed():
    gone = says_no(404, "The model `old` does not exist.")
    with FakeLlm(gone, says(GOOD), models=["old"]) as server, world_of(server.base_url, iters=2) as world:
        world.loop.iters = 1
        world.run()
        assert world.ends == [End.MODEL_GONE]
        server.models, world.loop.iters = ["new"], 2
        world.run()
        assert world.ends[1:] == [End.OK]
        assert len([line for line in world.messages if "another model" in line]) == 1


def test_a_list_in_another_order_changes_nothing():
    with FakeLlm(says(GOOD), says(OTHER), models=["a", "b"]) as server, world_of(server.base_url, iters=2) as world:
        world.loop.iters = 1
        world.run()
        server.models, world.loop.iters = ["b", "a"], 2
        world.run()
        assert [chat.body["model"] for chat in server.chats] == ["a", "a"]
        assert world.messages == []


def test_what_is_listed_of_the_context_is_believed_and_a_setting_more():
    with FakeLlm(says(GOOD), max_model_len=20_000) as server:
        for context, expected in ((0, 20_000), (10_000, 10_000)):
            with world_of(server.base_url, context=context) as world:
                world.llm.discover()
                assert world.llm.max_model_len == expected


# When it is not asked.


def test_after_three_failures_it_gets_no_request_during_the_cooldown():
    with FakeLlm(says_no(401)) as server, world_of(server.base_url, iters=6) as world:
        world.run()
        assert world.ends == [End.REQUEST_REJECTED] * 3
        assert len(server.chats) == 3 * 2  # with the schema and without
        assert len([r for r in server.requests if r.path.endswith("/models")]) == 3
        assert [line for line in world.messages if line.startswith("the LLM server is not asked for 60 s")]


def test_a_server_that_is_not_there_costs_the_night_next_to_nothing():
    with refusing() as base_url, world_of(base_url, iters=6) as world:
        world.run()
        assert world.ends == [End.UNREACHABLE] * 3
        assert len(world.messages) == 1


def test_a_long_retry_after_is_kept_to():
    with FakeLlm(says_no(429, **{"retry-after": "700"})) as server, world_of(server.base_url, iters=3) as world:
        world.run()
        assert world.ends == [End.RATE_LIMITED]
        assert len(server.chats) == 1
        assert 690 < world.llm.remaining_cooldown_s() <= 700


def test_replies_without_a_proposal_are_not_failures_of_the_server():
    with FakeLlm(says("I would rather not.")) as server, world_of(server.base_url, iters=4) as world:
        world.run()
        assert len(world.ends) == 12
        assert world.llm.remaining_cooldown_s() == 0
        assert len(json.dumps(server.chats[-1].body)) < 40_000
