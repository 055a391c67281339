"""An LLM server that answers from a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoresearch.core.llm_calls import Classification, Message
from autoresearch.llm.answer import Answer


@dataclass(slots=True)
class ScriptedLlm:
    """An LLM server that answers what ``say`` makes of the messages and the schema: text, or a whole ``Answer``.

    ``discovery_failure`` is what ``discover`` returns; ``asked`` collects the conversations.
    """

    say: Callable[[Sequence[Message], Mapping[str, Any]], str | Answer]
    discovery_failure: Answer | None = None
    cooldown_s: float = 0.0
    max_model_len: int = 8192
    completion_tokens: int = 1024
    tokens_ratio: float = 1.0
    asked: list[tuple[Message, ...]] = field(default_factory=list)

    def remaining_cooldown_s(self) -> float:
        return self.cooldown_s

    def discover(self) -> Answer | None:
        return self.discovery_failure

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Answer:
        """See ``proposers.llm.Llm``."""
        self.asked.append(tuple(messages))
        answer = self.say(messages, schema)
        return answer if isinstance(answer, Answer) else Answer(Classification.OK, text=answer, model="scripted")

    def count_tokens(self, text: str) -> int | None:
        return None
