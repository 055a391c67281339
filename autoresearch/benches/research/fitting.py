"""Fit a completion into the context: it is shortened before an overflow is reported.

In the published runs of AutoResearchBench an "8K wall" was a prompt of 4,700 tokens and 4,096 reserved
for the completion.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoresearch.benches.ports import Chat, ChatTurn, ContextOverflow

MIN_COMPLETION = 256  # tokens: with fewer a model cannot write a call or its candidates
MESSAGE_TOKENS = 8  # of the chat template, for each message
MAX_TRIES = 5

# What servers report of a request that did not fit: vLLM (old and new), NIM, llama.cpp, TGI.
_PROMPT = (
    re.compile(r"\(\s*([\d,]+)\s+(?:tokens\s+)?in the (?:messages|prompt)"),
    re.compile(r"(?:has|contains|with|resulted in)\s+(?:at least\s+)?([\d,]+)\s+(?:input|prompt)?\s*tokens"),
    re.compile(r"request \(([\d,]+) tokens\)"),
    re.compile(r"[\"']?n_prompt_tokens[\"']?\s*[:=]\s*([\d,]+)"),
    re.compile(r"([\d,]+)\s+`inputs` tokens"),
)


def prompt_tokens_in(detail: str) -> int | None:
    """The tokens of the prompt that a server's message about an overflow names."""
    for pattern in _PROMPT:
        if match := pattern.search(detail):
            return int(match[1].replace(",", "")) if match[1].strip(",") else None
    return None


class DoesNotFit(Exception):
    """The prompt leaves fewer than ``MIN_COMPLETION`` tokens of the context, or the server refuses even those."""

    def __init__(self, prompt_tokens: int, context_tokens: int, detail: str) -> None:
        super().__init__(detail)
        self.prompt_tokens, self.context_tokens, self.detail = prompt_tokens, context_tokens, detail


@dataclass(frozen=True, slots=True)
class Fitted:
    """A completion, and what was needed for it to fit."""

    turn: ChatTurn
    prompt_tokens: int  # as reported, else estimated
    is_estimated: bool
    estimate: int  # before the request, without ``scale``
    completion_limit: int  # as sent
    overflows: int  # requests that the server refused as too long before


def estimate_prompt(chat: Chat, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> int:
    """Tokens of a request, estimated from its texts."""
    parts = [str(message.get("content") or "") for message in messages]
    parts += [json.dumps(message["tool_calls"], ensure_ascii=False) for message in messages if "tool_calls" in message]
    if tools:
        parts.append(json.dumps(list(tools)))
    return chat.count_tokens("\n".join(parts)) + MESSAGE_TOKENS * len(messages)


def complete_fitted(
    chat: Chat,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    max_completion: int,
    stop: Callable[[], None],
    scale: float = 1.0,
) -> Fitted:
    """One completion of at most ``max_completion`` tokens, shortened to what the context leaves.

    The prompt is estimated times ``scale``, until the server reports its own count. ``stop`` is called before each
    request. Raises ``DoesNotFit``, and what ``Chat.complete`` raises but ``ContextOverflow``.
    """
    estimate, context = estimate_prompt(chat, messages, tools), chat.context_tokens
    prompt = math.ceil(scale * estimate)
    limit = min(max_completion, context - prompt)
    overflows = 0
    if limit < min(MIN_COMPLETION, max_completion):
        limit = min(MIN_COMPLETION, max_completion)  # the estimate may be too high: the server decides
    while True:
        stop()
        try:
            turn = chat.complete(messages, tools=tools, max_tokens=limit)
        except ContextOverflow as e:
            overflows += 1
            context = e.context_tokens or context
            counted = prompt_tokens_in(e.detail)
            prompt = counted or prompt
            room = context - prompt if counted is not None else limit // 2
            limit = min(room, limit // 2 if overflows > 1 else limit - 1)
            if limit < min(MIN_COMPLETION, max_completion) or overflows >= MAX_TRIES:
                raise DoesNotFit(prompt, context, e.detail) from e
        else:
            reported = turn.tokens_in
            return Fitted(turn, prompt if reported is None else reported, reported is None, estimate, limit, overflows)
