"""An error that a server reports under status 200, or under a status that does not fit it, is named by its content."""

from __future__ import annotations

import pytest

from autoresearch.core.llm_calls import Classification as End
from autoresearch.daemon.doctor.llm_advice import advice_for
from tests.fake_llm import FakeLlm, answers, completion, says, says_no, sends
from tests.llm_world import world_of

GOOD = '{"knob": "lr", "new_value": 0.002, "reason": "twice"}'
OOM = "CUDA out of memory. Tried to allocate 2.00 GiB"

REPORTED = {
    "an error as text": (answers({"error": OOM}), End.SERVER_ERROR),
    "OpenAI's error object": (answers({"error": {"message": OOM, "type": "server_error"}}), End.SERVER_ERROR),
    "vLLM's error object": (answers({"object": "error", "message": OOM, "code": 500}), End.SERVER_ERROR),
    "FastAPI's detail": (answers({"detail": OOM}), End.SERVER_ERROR),
    "plain text": (sends(OOM.encode()), End.SERVER_ERROR),
    "a traceback": (sends(b"Traceback (most recent call last):\n  torch.cuda.OutOfMemoryError"), End.SERVER_ERROR),
    "an event stream": (sends(b'data: {"error": "HIP out of memory"}\n\n'), End.SERVER_ERROR),
    "an error of the choice": (
        answers({"choices": [{"message": {"content": ""}, "finish_reason": "error", "error": {"message": OOM}}]}),
        End.SERVER_ERROR,
    ),
    "an error beside an empty choice": (
        answers({**completion({"content": None}), "error": {"message": OOM}}),
        End.SERVER_ERROR,
    ),
    "the text of the reply": (says(f"**NETWORK ERROR** ({OOM})"), End.SERVER_ERROR),
    "another memory": (answers({"error": "ggml_metal: failed to allocate buffer, size = 9 GiB"}), End.SERVER_ERROR),
    "HTTP 400": (says_no(400, "cudaMalloc failed: out of memory"), End.SERVER_ERROR),
    "an unknown error": (answers({"error": {"message": "the flux is off"}}), End.SERVER_ERROR),
    "a code of its own": (answers({"error": {"message": "wrong key", "code": 401}}), End.REQUEST_REJECTED),
    "a code as text": (answers({"error": {"message": "busy", "code": "429"}}), End.RATE_LIMITED),
    "the model": (answers({"error": {"message": "model not found", "code": 404}}), End.MODEL_GONE),
    "a list of errors": (sends(b'[{"error": {"code": 503, "message": "The model is overloaded."}}]'), End.SERVER_ERROR),
    "a list of texts": (answers({"error": [OOM]}), End.SERVER_ERROR),
    "several errors": (
        answers({"errors": [{"message": "worker lost", "code": 5006}]}),
        End.SERVER_ERROR,
    ),
    "FastAPI's list": (answers({"detail": [{"loc": ["body"], "msg": "no such field"}]}), End.SERVER_ERROR),
    "FastAPI's object": (answers({"detail": {"error": "worker died"}}), End.SERVER_ERROR),
    "JSON text": (answers(OOM), End.SERVER_ERROR),
    "another API's reply": (answers({"message": {"content": GOOD}, "done": True}), End.MALFORMED_RESPONSE),
    "HTML": (sends(b"<html>Welcome</html>"), End.MALFORMED_RESPONSE),
    "no choices": (answers({"choices": []}), End.MALFORMED_RESPONSE),
}


@pytest.mark.parametrize("name", REPORTED)
def test_it_is_named_by_its_content(name):
    behaviour, end = REPORTED[name]
    with FakeLlm(behaviour) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [end]
        assert world.sources == ["random"]
        assert world.log.exchanges[0].detail


@pytest.mark.parametrize("harmless", [None, {}, ""])
def test_an_empty_error_beside_a_reply_is_none(harmless):
    whole = {**completion({"content": GOOD}), "error": harmless}
    with FakeLlm(answers(whole)) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.OK]


def test_an_error_in_place_of_the_list_is_quoted():
    listed = answers({"error": {"message": "no workers", "code": 503}})
    with FakeLlm(says(GOOD), on_models=listed) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.SERVER_ERROR]
        assert "no workers" in world.log.exchanges[0].detail


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "the server lists no model"),
        ([{"id": "\x1b[31mred"}], "no listed model has a printable name; the first is '\\x1b[31mred'"),
        ([{"id": ""}, {"name": "a"}], "no listed model has a printable name; the first is ''"),
        ([{"id": "a\nb"}, {"id": None}], "no listed model has a printable name"),
        (["a"], "no listed model has a printable name; the first is 'a'"),
    ],
)
@pytest.mark.parametrize("wanted", [None, "fake-model"])
def test_a_list_without_a_usable_model(data, words, wanted):
    listed = answers({"data": data})
    with FakeLlm(says(GOOD), on_models=listed) as server, world_of(server.base_url, wanted_model=wanted) as world:
        world.run()
        assert world.ends == [End.OK if wanted else End.MODEL_GONE]
        assert wanted or words in world.log.exchanges[0].detail


def test_a_model_that_is_not_listed_is_named_beside_those_that_are():
    with FakeLlm(says(GOOD), models=["a", "b"]) as server, world_of(server.base_url, wanted_model="c") as world:
        world.run()
        assert world.log.exchanges[0].detail == "no model c; the server has: a, b"


@pytest.mark.parametrize(
    ("end", "detail", "quoted", "words"),
    [
        (End.SERVER_ERROR, f"HTTP 200, but an error: {OOM}", '"CUDA out of memory": ', "smaller model"),
        (End.SERVER_ERROR, "HTTP 503: Loading model", '"Loading model": ', "wait"),
        (End.MODEL_GONE, "the server lists no model", '"lists no model": ', "ollama pull"),
        (End.MODEL_GONE, "no listed model has a printable name; the first is ''", '"no listed', "--model NAME"),
        (End.REQUEST_REJECTED, "HTTP 401: Incorrect API key provided", '"HTTP 401": ', "AUTORESEARCH_LLM_KEY"),
        (End.UNREACHABLE, "ConnectError: [SSL: WRONG_VERSION_NUMBER]", '"WRONG_VERSION_NUMBER": ', "http://"),
        (End.UNREACHABLE, "ConnectError: Name or service not known", '"Name or', "host"),
        (End.UNREACHABLE, "ConnectError: refused", "", "start the server"),
        (End.SCHEMA_INVALID, "R1_schema: ...", "", "too small"),
    ],
)
def test_the_advice_quotes_the_cause(end, detail, quoted, words):
    advice = advice_for(end, detail)
    assert advice.startswith(quoted)
    assert words in advice
