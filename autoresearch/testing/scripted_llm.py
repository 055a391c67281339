"""An LLM server that answers from a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoresearch.core.llm_calls import Classification, Message
from autoresearch.llm.answer import Answer


@dataclass(slots=True)
class ScriptedLlm:
    """An LLM server that says what ``say`` makes of the messages and the schema: text, or a whole ``Answer``.

    ``unmet`` is why it cannot be met, ``rest_s`` how long it is left alone; ``asked`` remembers the conversations.
    """

    say: Callable[[Sequence[Message], Mapping[str, Any]], str | Answer]
    unmet: Answer | None = None
    rest_s: float = 0.0
    max_model_len: int = 8192
    completion_tokens: int = 1024
    tokens_ratio: float = 1.0
    asked: list[tuple[Message, ...]] = field(default_factory=list)

    def resting_s(self) -> float:
        return self.rest_s

    def discover(self) -> Answer | None:
        return self.unmet

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Answer:
        """See ``proposers.nim.Llm``."""
        self.asked.append(tuple(messages))
        said = self.say(messages, schema)
        return said if isinstance(said, Answer) else Answer(Classification.OK, text=said, model="scripted")

    def count_tokens(self, text: str) -> int | None:
        return None
