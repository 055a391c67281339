"""One sample: one completion, its text without the thinking, and how it ended."""

from __future__ import annotations

import time
from typing import Any

from autoresearch.benches.cases import Case
from autoresearch.benches.ports import Attempt, Chat, ChatTurn, ContextOverflow
from autoresearch.benches.samples.extraction import MAX_TEXT_CHARS
from autoresearch.benches.samples.prompts import build_messages
from autoresearch.llm.thinking import opens_thinking, separate_thinking

FINISHED, TOKENS_REACHED, CONTEXT_EXCEEDED = "finished", "max_tokens_reached", "context_length_exceeded"
FILTERED, ERROR = "content_filter", "error"
STATUSES = (FINISHED, TOKENS_REACHED, CONTEXT_EXCEEDED, FILTERED, ERROR)
_BY_FINISH_REASON = {"length": TOKENS_REACHED, "content_filter": FILTERED}


def attempt_sample(case: Case, chat: Chat, system: str | None) -> Attempt:
    """Ask once. The chat has the seed of this sample and the sampling of the run.

    Raises ``Infrastructure`` and ``Interrupted``. A prompt without room for a completion is a result: the model cannot
    answer this case in this context.
    """
    began = time.time()
    try:
        turn = chat.complete(build_messages(case.payload, system))
    except ContextOverflow as e:
        overflow: dict[str, Any] = {"detail": e.detail[:2_000], "context_tokens": e.context_tokens}
        return Attempt(CONTEXT_EXCEEDED, None, evidence=overflow | _times(began))
    text, evidence = visible_text(turn.text)
    if turn.thinking:
        evidence["thinking_chars"] = evidence.get("thinking_chars", 0) + len(turn.thinking)
    evidence |= {"finish_reason": turn.finish_reason} | _times(began)
    return Attempt(
        _status(turn),
        text or None,
        tokens_in=turn.tokens_in,
        tokens_out=turn.tokens_out,
        evidence=evidence,
    )


def visible_text(text: str) -> tuple[str, dict[str, Any]]:
    """``text`` without its thinking, and what was left out.

    Thinking that was never closed leaves no text: what stands in it is a draft. Of a long text the end is kept.
    """
    answer, thinking, style = separate_thinking(text)
    evidence: dict[str, Any] = {}
    if style == "unclosed" or opens_thinking(answer):
        thinking, answer, style = f"{thinking}{answer}", "", "unclosed"
    if style != "none":
        evidence |= {"thinking_style": style, "thinking_chars": len(thinking)}
    if len(answer) > MAX_TEXT_CHARS:
        evidence["cut_chars"] = len(answer) - MAX_TEXT_CHARS
        answer = answer[-MAX_TEXT_CHARS:]
    return answer, evidence


def _status(turn: ChatTurn) -> str:
    return _BY_FINISH_REASON.get(turn.finish_reason or "", FINISHED)


def _times(began: float) -> dict[str, float]:
    """In seconds since 1970, named as ``ns eval`` does."""
    return {"generation_start_time": began, "generation_end_time": time.time()}
