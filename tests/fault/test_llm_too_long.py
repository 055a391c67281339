"""A prompt that does not fit: recognized in every server's words, shortened once, and remembered."""

from __future__ import annotations

import pytest

from autoresearch.core.llm_calls import Classification as End
from autoresearch.llm.classify import context_length_in
from autoresearch.llm.server import MIN_LEARNED_CONTEXT
from autoresearch.llm.tokens import estimate_tokens
from tests.fake_llm import FakeLlm, answers, says, says_no, sends
from tests.llm_world import world_of

GOOD = '{"knob": "lr", "new_value": 0.002, "reason": "twice"}'
OTHER = '{"knob": "beta1", "new_value": 0.8, "reason": "less"}'
MUCH = 250  # iterations, so that there is something to leave out
ROOMY = 32_768  # what the server lists, though less fits

TOO_LONG = {
    "vLLM": says_no(
        400,
        "This model's maximum context length is 8192 tokens. However, your request has 12,925 input tokens. "
        "Please reduce the length of the input messages.",
    ),
    "vLLM, older": says_no(
        400, "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens"
    ),
    "vLLM, newer": says_no(
        400,
        "You passed 5000 input tokens and requested 1024 output tokens. However, the model's context length is only "
        "4096 tokens, resulting in a maximum input length of 3072 tokens.",
    ),
    "vLLM's engine": says_no(400, "The decoder prompt (length 10127) is longer than the maximum model length of 8192."),
    "llama.cpp": says_no(400, "the request exceeds the available context size. try increasing the context size"),
    "llama.cpp, newer": answers(
        {
            "error": {
                "code": 400,
                "message": "request (9001 tokens) exceeds the available context size (8192 tokens), try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 9001,
                "n_ctx": 8192,
            }
        },
        400,
    ),
    "llama-cpp-python": answers(
        {
            "error": {
                "message": "This model's maximum context length is 2048 tokens. However, you requested 3000 tokens",
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            }
        },
        400,
    ),
    "llama-cpp-python with 500": says_no(500, "Requested tokens (3000) exceed context window of 2048"),
    "SGLang": says_no(400, "The input (61709 tokens) is longer than the model's context length (40960 tokens)."),
    "SGLang, too": says_no(400, "Requested token count exceeds the model's maximum context length of 32768 tokens."),
    "LM Studio": answers(
        {
            "error": "Trying to keep the first 11149 tokens when context the overflows. However, the model is loaded "
            "with context length of only 8192 tokens, which is not enough."
        },
        400,
    ),
    "LM Studio, newer": answers(
        {
            "error": "The number of tokens to keep from the initial prompt is greater than the context length "
            "(n_keep: 13055>= n_ctx: 8192)."
        },
        400,
    ),
    "TGI": says_no(
        422,
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 9000 `inputs` tokens",
    ),
    "413": says_no(413, "maximum context length is 8192 tokens"),
    "llama.cpp with 500": says_no(500, "Context size has been exceeded."),
    "llama.cpp, older": says_no(500, "Input prompt is too big compared to KV size. Please try increasing KV size."),
    "Ollama": says_no(400, "the input length exceeds the context length"),
    "Mistral": says_no(400, "The prompt is too long: 9000, model context length: 8192"),
    "TensorRT-LLM": says_no(400, "The sum of prompt length (9000) and query length exceeds max_num_tokens (8192)"),
    "TabbyAPI": says_no(503, "Prompt length 9000 is greater than max_seq_len 8192"),
    "Anthropic's": says_no(400, "prompt is too long: 9000 tokens > 8192 maximum"),
    "Gemini's": says_no(400, "The input token count (9000) exceeds the maximum number of tokens allowed (8192)."),
    "an error object with 200": answers({"error": {"message": "Context size has been exceeded.", "code": 500}}),
    "an error object with 200, no code": answers({"error": {"message": "maximum context length is 8192 tokens"}}),
    "an error as text with 200": answers({"error": "context window of 8192 exceeded"}),
    "an error beside empty choices": answers(
        {"choices": [], "error": {"type": "exceed_context_size_error", "n_ctx": 8192, "message": "too long"}}
    ),
    "an event stream with 200": sends(b'data: {"error": {"message": "Context size has been exceeded."}}'),
}  # fmt: skip


SAID = {
    "vLLM": 8192,
    "vLLM, older": 8192,
    "vLLM, newer": 4096,
    "vLLM's engine": 8192,
    "llama.cpp": None,
    "llama.cpp, newer": 8192,
    "llama-cpp-python": 2048,
    "llama-cpp-python with 500": 2048,
    "SGLang": 40960,
    "SGLang, too": 32768,
    "LM Studio": 8192,
    "LM Studio, newer": 8192,
    "TGI": 4096,
    "413": 8192,
    "Mistral": 8192,
    "TensorRT-LLM": 8192,
    "TabbyAPI": 8192,
    "Anthropic's": 8192,
    "Gemini's": 8192,
    "an error object with 200, no code": 8192,
    "an error as text with 200": 8192,
}


@pytest.mark.parametrize("name", TOO_LONG)
def test_it_is_recognized_and_shortened_only_once(name):
    with FakeLlm(TOO_LONG[name], max_model_len=ROOMY) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.CONTEXT_LENGTH_EXCEEDED] * 2
        assert world.sources == ["random"]
        assert context_length_in(world.log.exchanges[0].detail) == SAID.get(name)
        assert world.llm.max_model_len < ROOMY or (SAID.get(name) or 0) >= ROOMY


def test_the_second_prompt_is_shorter_and_the_next_conversation_knows_better():
    script = (TOO_LONG["vLLM"], says(GOOD), says(OTHER))
    with FakeLlm(*script, max_model_len=ROOMY) as server, world_of(server.base_url, iters=2, memory=MUCH) as world:
        world.run()
        assert world.ends == [End.CONTEXT_LENGTH_EXCEEDED, End.OK, End.OK]
        assert world.sources == ["nim", "nim"]
        first, second, third = (estimate_tokens(chat.prompt) for chat in server.chats)
        assert second < 0.8 * first
        assert third + server.chats[2].body["max_tokens"] < 8192


def test_a_server_that_names_no_length_is_believed_a_little_less_each_time_but_not_without_end():
    with FakeLlm(TOO_LONG["llama.cpp"], max_model_len=ROOMY) as server, world_of(server.base_url, iters=12) as world:
        world.run()
        assert set(world.ends) == {End.CONTEXT_LENGTH_EXCEEDED}
        assert world.llm.max_model_len == MIN_LEARNED_CONTEXT
        assert world.llm.remaining_cooldown_s() == 0  # it answers: a shorter prompt may be all that it wants


def test_a_context_too_small_for_any_prompt_is_said_without_asking():
    with FakeLlm(says(GOOD), max_model_len=900) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.CONTEXT_LENGTH_EXCEEDED]
        assert world.log.exchanges[0].detail.startswith("not sent")
        assert server.chats == []


@pytest.mark.parametrize("count", [1, 10**8])
def test_a_tokenizer_that_counts_nonsense_does_not_shut_the_model_out(count):
    def counts(_text: str) -> int:
        return count

    with FakeLlm(says(GOOD), tokens_of=counts, max_model_len=ROOMY) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.OK]


def test_the_models_own_count_is_kept_to():
    def counts(text: str) -> int:
        return 2 * estimate_tokens(text)

    with FakeLlm(says(GOOD), tokens_of=counts) as server, world_of(server.base_url, memory=MUCH) as world:
        world.run()
        assert world.ends == [End.OK]
        asked = server.chats[0]
        assert counts(asked.prompt) + asked.body["max_tokens"] <= 8192
