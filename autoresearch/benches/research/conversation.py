"""The messages of one attempt. They are built anew for each turn, because older result lists are shortened."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from autoresearch.benches.ports import ChatTurn
from autoresearch.benches.research.prompt import LAST_TURN, SYSTEM, question_message, shown_results
from autoresearch.benches.research.retrievers.port import Document


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer of the model and what followed: search results or an error; ``note`` is about its candidates."""

    turn: ChatTurn
    results: tuple[Document, ...] | None
    error: str
    note: str


@dataclass(slots=True)
class Conversation:
    """A question and the turns so far."""

    question: str
    is_deep: bool
    answered: list[Answered] = field(default_factory=list)

    def messages(self, last_because: str = "") -> list[dict[str, Any]]:
        """In OpenAI's form. Of a Deep question's result lists before the latest the titles remain, as upstream has it.

        ``last_because``: the limit for which the next turn is the last one.
        """
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": question_message(self.question)},
        ]
        latest = max((n for n, item in enumerate(self.answered) if item.results is not None), default=0)
        for number, item in enumerate(self.answered):
            messages += _exchange(item, titles_only=self.is_deep and number < latest)
        if last_because:
            messages[-1] = messages[-1] | {"content": messages[-1]["content"] + LAST_TURN.format(limit=last_because)}
        return messages


def _exchange(item: Answered, *, titles_only: bool) -> list[dict[str, Any]]:
    """An answer and what followed, as the role ``tool`` for native calls; thinking is not sent back."""
    turn, notes = item.turn, []
    if item.error:
        notes.append(f"<error>{item.error}</error>")
    if item.note:
        notes.append(item.note)
    shown = [] if item.results is None else [shown_results(item.results, titles_only=titles_only)]
    if not turn.tool_calls:
        content = "\n".join([*(f"<tool_response>{text}</tool_response>" for text in shown), *notes])
        return [{"role": "assistant", "content": turn.text}, {"role": "user", "content": content}]
    ids = [call.id or f"call_{position}" for position, call in enumerate(turn.tool_calls)]
    calls = [
        {"id": identity, "type": "function", "function": {"name": call.name, "arguments": _renderable(call.arguments)}}
        for identity, call in zip(ids, turn.tool_calls, strict=True)
    ]
    first = {"role": "tool", "tool_call_id": ids[0], "content": "\n".join([*shown, *notes])}
    others = [{"role": "tool", "tool_call_id": i, "content": "The results are with the first call."} for i in ids[1:]]
    return [{"role": "assistant", "content": turn.text, "tool_calls": calls}, first, *others]


def _renderable(arguments: str) -> str:
    """Arguments for the chat template: some parse them, and fail on what is not a JSON object."""
    try:
        return arguments if isinstance(json.loads(arguments), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"
