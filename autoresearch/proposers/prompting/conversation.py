"""The conversation with an LLM about one iteration: what is said to it, and for how many rounds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from autoresearch.core.llm_calls import Classification, LlmCall, Message
from autoresearch.core.records import Attempt

MAX_ECHO_CHARS = 2000  # of the model's own reply, as it is shown to it again
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
    """Kept for one iteration and in memory only: after a restart the conversation begins anew."""

    iter: int
    messages: list[Message] = field(default_factory=list)
    rounds: int = 0  # replies with words in them, or that should have had some
    is_over: bool = False  # the server failed, or has rested
    scale: float = 1.0  # of the room for the prompt: less, once the server has said that it does not fit
    calls: list[LlmCall] = field(default_factory=list)  # since the last reply
    refusals_seen: int = 0  # refused attempts that the model has been told of
    last_reply: str = ""

    def add_refusals(self, refused: Sequence[Attempt]) -> None:
        """Tell the model what the rails said to its last reply."""
        news, self.refusals_seen = refused[self.refusals_seen :], len(refused)
        if not (news and self.messages and self.last_reply):
            return
        reasons = "\n".join(dict.fromkeys(f"- {_quote(a.raw)} : {a.rail}: {a.reason}" for a in news))  # each once
        self.messages.append(Message(role="assistant", content=self.last_reply[:MAX_ECHO_CHARS]))
        self.messages.append(Message(role="user", content=REFUSED_TEMPLATE.format(reasons=reasons)))
        self.last_reply = ""

    def ask_again(self, why: Classification) -> None:
        """Ask again for what was no answer: one more line in the question, so that the roles keep alternating."""
        line = RETRY_LINES.get(why, RETRY_LINES[Classification.EMPTY])
        last = self.messages[-1]
        if not last.content.endswith(line):
            self.messages[-1] = Message(role=last.role, content=f"{last.content}\n\n{line}")

    def pop_calls(self) -> tuple[LlmCall, ...]:
        """The calls since the last reply; each is handed over once."""
        calls, self.calls = tuple(self.calls), []
        return calls


def _quote(raw: str) -> str:
    return re.sub(r"\s+", " ", raw)[:MAX_QUOTE_CHARS]
