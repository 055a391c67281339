"""The conversation with an LLM in one iteration: its messages and its rounds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from autoresearch.core.llm_calls import LLM_SOURCE, Classification, LlmCall, Message
from autoresearch.core.ports import Normalisation
from autoresearch.core.records import Attempt
from rails import Value
from rails.strict_json import StrictJsonError, parse_json

MAX_ECHO_CHARS = 2000  # of the model's own reply, when it is sent back
MAX_QUOTE_CHARS = 160

REFUSED_TEMPLATE = (
    "Every proposal was refused:\n{reasons}\nPropose other changes, as one JSON object in the same format."
)
RETRY_LINES = {
    Classification.THINK_TRUNCATED: "Answer at once, without thinking: your last reply ended inside its thoughts.",
    Classification.OUTPUT_TRUNCATED: "Answer briefly: your last reply was cut off before it was complete.",
    Classification.TOOL_FORMAT_ERROR: "Do not call a tool: answer with the JSON object itself.",
    Classification.EMPTY: "Your last reply was empty: answer with the JSON object.",
}


@dataclass(slots=True)
class Conversation:
    """Kept for one iteration and in memory only: after a restart it starts over."""

    iter: int
    messages: list[Message] = field(default_factory=list)
    rounds: int = 0  # replies with text, or that should have had some
    is_over: bool = False  # no further call in this iteration
    scale: float = 1.0  # of the room for the prompt: lowered after a context overflow
    calls: list[LlmCall] = field(default_factory=list)  # since the last reply
    refusals_seen: int = 0  # refused attempts that have been added
    last_reply: str = ""
    refused: dict[str, set[Value]] = field(default_factory=dict)  # by knob, the model's single changes
    normalisations: tuple[Normalisation | None, ...] = ()  # of the last reply's proposals; empty: none was rewritten

    def add_refusals(self, refused: Sequence[Attempt]) -> None:
        """Add the model's last reply and the rails' reasons for refusing it to the messages."""
        new, self.refusals_seen = refused[self.refusals_seen :], len(refused)
        for change in (_change_of(a) for a in new if a.source == LLM_SOURCE):
            if change is not None:
                self.refused.setdefault(change[0], set()).add(change[1])
        if not (new and self.messages and self.last_reply):
            return
        reasons = "\n".join(dict.fromkeys(f"- {_quote(a.raw)} : {a.rail}: {a.reason}" for a in new))  # each once
        self.messages.append(Message(role="assistant", content=self.last_reply[:MAX_ECHO_CHARS]))
        self.messages.append(Message(role="user", content=REFUSED_TEMPLATE.format(reasons=reasons)))
        self.last_reply = ""

    def ask_again(self, why: Classification) -> None:
        """Ask again after a reply without a proposal: one more line in the question, so that the roles alternate."""
        line = RETRY_LINES.get(why, RETRY_LINES[Classification.EMPTY])
        last = self.messages[-1]
        if not last.content.endswith(line):
            self.messages[-1] = Message(role=last.role, content=f"{last.content}\n\n{line}")

    def pop_calls(self) -> tuple[LlmCall, ...]:
        """The calls since the last reply; each is returned once."""
        calls, self.calls = tuple(self.calls), []
        return calls


def _change_of(attempt: Attempt) -> tuple[str, Value] | None:
    """The knob and the value of a proposal of one change; ``None`` where it is not readable or has several."""
    try:
        given = parse_json(attempt.raw)
    except StrictJsonError:
        return None
    knob, value = (given.get("knob"), given.get("new_value")) if isinstance(given, dict) else (None, None)
    if not isinstance(knob, str) or not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    return knob, value


def _quote(raw: str) -> str:
    return re.sub(r"\s+", " ", raw)[:MAX_QUOTE_CHARS]
