"""What a call of an LLM server came to."""

from __future__ import annotations

from dataclasses import dataclass

from autoresearch.core.llm_calls import Classification


@dataclass(frozen=True, slots=True)
class Answer:
    """The model's words, or why there are none.

    ``classification`` is ``ok`` where there is an answer to judge: what it is worth, only the rails can say. Times are
    in seconds; ``None`` is what the server did not say.
    """

    classification: Classification
    detail: str = ""  # the server's or the transport's own words: untrusted
    text: str = ""  # the answer, its thinking taken out
    thinking: str = ""
    has_tool_call: bool = False  # in a field of its own, beside the text
    finish_reason: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_s: float = 0.0
    tries: int = 1
    retry_after_s: float | None = None
    structured: bool = False  # whether a schema was sent along
    think_style: str = "none"  # see thinking.Style
