"""An LLM server that answers from a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoresearch.core.llm_calls import Classification, Message
from autoresearch.llm.answer import Answer


@dataclass(slots=True)
class ScriptedLlm:
    """An LLM server whose answer is ``say(messages, schema)``: text, or a complete ``Answer``.

    ``unmet`` is the answer of a server that cannot be used, ``rest_s`` the seconds until it may be called again;
    ``asked`` records the conversations.
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

    def meet(self) -> Answer | None:
        return self.unmet

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Answer:
        """See ``proposers.llm.Llm``."""
        self.asked.append(tuple(messages))
        answer = self.say(messages, schema)
        return answer if isinstance(answer, Answer) else Answer(Classification.OK, text=answer, model="scripted")

    def count_tokens(self, text: str) -> int | None:
        return None
