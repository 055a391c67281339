"""A model that cannot chat is listed beside one that can: the chat model is asked, and the user is told."""

from __future__ import annotations

from typing import Any

import pytest

from autoresearch.core.llm_calls import Classification as End
from autoresearch.llm.model_kind import is_chat_model
from tests.fake_llm import FakeLlm, Wire, answers, says, says_no
from tests.llm_world import world_of

GOOD = '{"knob": "lr", "new_value": 0.002, "reason": "twice"}'
OTHER = '{"knob": "beta1", "new_value": 0.8, "reason": "less"}'

NOT_CHAT_NAMES = [
    "text-embedding-nomic-embed-text-v1.5",
    "nomic-embed-text:latest",
    "BAAI/bge-m3",
    "bge-reranker-v2-m3",
    "intfloat/e5-mistral-7b-instruct",
    "nvidia/nv-embedqa-e5-v5",
    "nvidia/nv-rerankqa-mistral-4b-v3",
    "sentence-transformers/all-MiniLM-L6-v2",
    "jinaai/jina-colbert-v2",
    "Qwen/Qwen3-Reranker-0.6B",
    "/models/gte-large.gguf",
    "openai/whisper-large-v3",
    "stable-diffusion-xl",
]
CHAT_NAMES = [
    "fake-model",
    "nvidia/nemotron-nano-9b-v2",
    "Qwen/Qwen2.5-7B-Instruct",
    "meta/llama-3.1-8b-instruct",
    "/models/gemma-3-4b-it-Q4_K_M.gguf",
    "mistral-nemo:latest",
    "gpt-oss-20b",
]
NOT_CHAT_ENTRIES = [
    {"type": "embeddings"},
    {"model_type": "rerank"},
    {"task": "feature-extraction"},
    {"capabilities": ["embed"]},
    {"capabilities": {"embedding": True, "completion_chat": False}},
    {"model_type": {"reranker": {"id2label": {}}}},
]


@pytest.mark.parametrize("name", NOT_CHAT_NAMES)
def test_a_name_that_says_it(name):
    assert not is_chat_model(name, {})


@pytest.mark.parametrize("name", CHAT_NAMES)
def test_a_name_of_a_chat_model(name):
    assert is_chat_model(name, {"object": "model", "owned_by": "vllm"})


@pytest.mark.parametrize("entry", NOT_CHAT_ENTRIES)
def test_a_field_that_says_it(entry):
    assert not is_chat_model("my-model", entry)
    assert is_chat_model("my-embed", {"type": "llm"}), "what is stated counts more than a name"


def listing(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"object": "list", "data": list(entries)}


@pytest.mark.parametrize(
    "first",
    [{"id": "nomic-embed-text"}, {"id": "bge-reranker-v2-m3"}, *[{"id": "other", **e} for e in NOT_CHAT_ENTRIES]],
    ids=str,
)
def test_the_chat_model_is_asked_and_the_choice_is_said_once(first):
    listed = answers(listing(first, {"id": "fake-model"}))
    with FakeLlm(says(GOOD), says(OTHER), on_models=listed) as server, world_of(server.base_url, iters=2) as world:
        world.run()
        assert world.ends == [End.OK, End.OK]
        assert {r.body["model"] for r in (*server.probes, *server.chats)} == {"fake-model"}
        said = f"{first['id']}: not a chat model; fake-model is asked (--model NAME asks another)"
        assert world.messages == [said]


@pytest.mark.parametrize(
    "refusal",
    [
        says_no(400, '"other" does not support chat'),
        says_no(400, "The model does not support Chat Completions API"),
        says_no(404, "other is not a chat model and thus not supported in the v1/chat/completions endpoint"),
        says_no(500, "This is an embedding model"),
        answers({"error": {"message": "model is not an LLM", "code": 400}}),
        says_no(501, "This server does not support completions. Start it without --embeddings"),
    ],
)
def test_a_model_that_refuses_to_chat_is_passed_over(refusal):
    def probe(wire: Wire) -> None:
        answer = says(f'{{"word": "{wire.request.probe_word}"}}')
        (refusal if wire.request.body["model"] == "other" else answer)(wire)

    script = {"models": ["other", "fake-model"], "on_probe": probe}
    with FakeLlm(says(GOOD), says(OTHER), **script) as server, world_of(server.base_url, iters=2) as world:
        world.run()
        assert world.ends == [End.OK, End.OK]
        assert {chat.body["model"] for chat in server.chats} == {"fake-model"}
        assert world.messages == ["other: not a chat model; fake-model is asked (--model NAME asks another)"]
        assert len([r for r in server.probes if r.body["model"] == "other"]) <= 9, "not before every conversation"


def test_a_server_without_a_chat_model_says_so():
    with FakeLlm(says(GOOD), models=["bge-m3", "my-reranker"]) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.MODEL_GONE]
        assert world.log.exchanges[0].detail == "the server lists no chat model, only: bge-m3, my-reranker"
        assert server.chats == server.probes == []


def test_a_name_that_the_user_gives_is_asked_whatever_it_looks_like():
    models = ["fake-model", "my-embed-chat"]
    with FakeLlm(says(GOOD), models=models) as server, world_of(server.base_url, wanted_model="my-embed-chat") as world:
        world.run()
        assert world.ends == [End.OK]
        assert server.chats[0].body["model"] == "my-embed-chat"
