from __future__ import annotations

import pytest

from autoresearch.benches.prompt_tokens import is_lower_bound, prompt_tokens_in


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        ("However, you requested 8801 tokens (4705 in the messages, 4096 in the completion).", 4705),
        ("your request has 12,925 input tokens. Please reduce the length of the input messages.", 12_925),
        ("and your prompt contains at least 4097 input tokens, for a total of at least 8193 tokens.", 4097),
        ("The decoder prompt (length 9000) is longer than the maximum model length of 8192.", 9000),
        ("however you requested 4353 tokens (257 in your prompt; 4096 for the completion).", 257),
        ("request (9001 tokens) exceeds the available context size (4096 tokens), try increasing it", 9001),
        ('{"code": 400, "message": "too long", "n_prompt_tokens": 9001, "n_ctx": 4096}', 9001),
        ("The input (9000 tokens) is longer than the model's context length (8192 tokens).", 9000),
        ("a total of 9216 tokens: 5120 tokens from the input messages and 4096 tokens for the completion", 5120),
        ("`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 9000 `inputs` tokens", 9000),
        ("This model's maximum context length is 8192 tokens.", None),
        ("request (,,, tokens)", None),
        ("", None),
    ],
)
def test_the_prompt_in_the_messages_of_servers(message: str, tokens: int | None) -> None:
    assert prompt_tokens_in(message) == tokens
    assert is_lower_bound(message) == ("at least" in message)
