"""The result of one call of an LLM server."""

from __future__ import annotations

from dataclasses import dataclass

from autoresearch.core.llm_calls import Classification
from autoresearch.llm.tool_calls import NativeToolCall

MAX_TEXT_CHARS = 1 << 16  # that are kept of an answer, and of its thinking


@dataclass(frozen=True, slots=True)
class Answer:
    """The model's text, or the reason why there is none.

    ``classification`` is ``ok`` where there is text to judge: whether it holds a valid proposal, the rails decide
    later. A field that the server did not report is ``None``.
    """

    classification: Classification
    detail: str = ""  # message of the server or the transport: untrusted
    text: str = ""  # the answer without its thinking
    thinking: str = ""
    has_tool_call: bool = False  # the response has a tool call beside the text
    finish_reason: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_s: float = 0.0
    tries: int = 1
    retry_after_s: float | None = None
    structured: bool = False  # whether a schema was sent with the request
    is_enforced: bool = False  # whether the server is known to enforce that schema
    refusal: str = ""  # more of a refusal's message than ``detail`` has: untrusted, not recorded
    think_style: str = "none"  # see thinking.Style
    tool_calls: tuple[NativeToolCall, ...] = ()
    malformed_calls: tuple[str, ...] = ()  # what stands in the field of tool calls and is none, as text
