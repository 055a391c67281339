"""A ``Chat`` that answers from a script, for suites: no server, no thread, no time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autoresearch.benches.ports import ChatTurn

# One reply: text, a whole turn, an exception to raise, or a function of the messages that gives one of them.
Reply = str | ChatTurn | Exception
Scripted = Reply | Callable[[Sequence[Mapping[str, Any]]], Reply]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a suite asked; the messages and the tools are copies."""

    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...]
    max_tokens: int | None
    seed: int | None


@dataclass(slots=True)
class FakeChat:
    """See ``benches.ports.RunChat``. The replies in order; the last one stays, so that a script never runs out.

    ``requests`` collects what was asked. A turn without counts gets the words of prompt and answer as its tokens.

        FakeChat("no", ChatTurn("", tool_calls=(NativeToolCall("1", "search", '{"query": "x"}'),)), "yes")
        FakeChat(Infrastructure("unreachable", "refused"))
        FakeChat(lambda messages: str(messages[-1]["content"]).upper())
    """

    script: list[Scripted]
    context_tokens: int = 8192
    requests: list[ChatRequest] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)  # the samples of the attempts
    closed: bool = False

    def __init__(self, *script: Scripted, context_tokens: int = 8192) -> None:
        self.script = list(script) or [""]
        self.context_tokens = context_tokens
        self.requests, self.begun, self.closed = [], [], False

    def begin(self, sample: int) -> None:
        self.begun.append(sample)

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        max_tokens: int | None = None,
        seed: int | None = None,
    ) -> ChatTurn:
        asked = tuple(dict(m) for m in messages)
        self.requests.append(ChatRequest(asked, tuple(dict(t) for t in tools), max_tokens, seed))
        scripted = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        reply = scripted(asked) if callable(scripted) else scripted
        if isinstance(reply, Exception):
            raise reply
        turn = ChatTurn(reply, finish_reason="stop", model="fake-model") if isinstance(reply, str) else reply
        if turn.tokens_in is None:
            turn = replace(turn, tokens_in=_words(str(m.get("content") or "") for m in asked))
        if turn.tokens_out is None:
            turn = replace(turn, tokens_out=_words((turn.text, *(c.arguments for c in turn.tool_calls))))
        return turn

    def count_tokens(self, text: str) -> int:
        """One token a word."""
        return _words((text,))

    def close(self) -> None:
        self.closed = True


def _words(texts: Iterable[str]) -> int:
    return sum(len(text.split()) for text in texts)
