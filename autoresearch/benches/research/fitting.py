"""Fit a completion into the context: it is shortened before an overflow is reported.

In the published runs of AutoResearchBench an "8K wall" was a prompt of 4,700 tokens and 4,096 reserved
for the completion.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoresearch.benches.ports import Chat, ChatTurn, ContextOverflow
from autoresearch.benches.prompt_tokens import is_lower_bound, prompt_tokens_in

MIN_COMPLETION = 16  # tokens: with fewer not even candidates can be named
SHORT_COMPLETION = 256  # with fewer a call or a thought is mostly cut off
MESSAGE_TOKENS = 8  # of the chat template, for each message


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
    is_tight: bool  # the context left fewer than ``SHORT_COMPLETION`` tokens, and no other limit was lower


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
    least, short = min(MIN_COMPLETION, max_completion), min(SHORT_COMPLETION, max_completion)
    limit = max(short, min(max_completion, context - prompt))  # the estimate may be too high: the server decides
    overflows = 0
    while True:
        stop()
        try:
            turn = chat.complete(messages, tools=tools, max_tokens=limit)
        except ContextOverflow as e:
            overflows += 1
            context = e.context_tokens or context
            counted = prompt_tokens_in(e.detail)
            prompt = counted or prompt
            room = limit if counted is None else context - counted
            limit = room if room < limit and not is_lower_bound(e.detail) else min(room, limit // 2)
            if limit < least:
                raise DoesNotFit(prompt, context, e.detail) from e
        else:
            sent = limit if turn.max_tokens is None else turn.max_tokens
            return Fitted(
                turn,
                prompt if turn.tokens_in is None else turn.tokens_in,
                turn.tokens_in is None,
                estimate,
                sent,
                overflows,
                is_tight=sent == limit < short,
            )
