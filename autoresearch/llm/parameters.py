"""The names under which a server takes the parameters of a chat: servers and models differ, and refuse by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

_NAMES = re.compile(r"\b(max_completion_tokens|max_tokens|temperature|top_p|seed)\b")
OPTIONAL = ("top_p", "seed")
SHOWN_CHARS = 200  # of a server's message


@dataclass(frozen=True, slots=True)
class Parameters:
    """``None``: the parameter is not sent. ``more`` may be sent too: OPTIONAL, or what is left of them."""

    max_tokens: str | None = "max_tokens"
    temperature: str | None = "temperature"
    more: tuple[str, ...] = ()

    def fields(self, max_tokens: int, temperature: float, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The part of the request's body."""
        named = {self.max_tokens: max_tokens, self.temperature: temperature}
        sent = {name: value for name, value in named.items() if name is not None}
        return sent | {name: v for name, v in (more or {}).items() if name in self.more and v is not None}

    def without(self, name: str) -> Parameters:
        """The next thing to try after ``name`` was refused: its newer name, then the server's default."""
        if name in self.more:
            return replace(self, more=tuple(other for other in self.more if other != name))
        if name == self.temperature:
            return replace(self, temperature=None)
        return replace(self, max_tokens="max_completion_tokens" if name == "max_tokens" else None)

    def refused_in(self, message: str) -> str | None:
        """The first parameter that is sent and that the refusal names."""
        sent = (self.max_tokens, self.temperature, *self.more)
        return next((match[1] for match in _NAMES.finditer(message) if match[1] in sent), None)

    def describe_refusal(self, why: str) -> str:
        """What the server is sent from now on, for the user. ``why`` is the server's own message."""
        kept = ", ".join(self.fields(0, 0.0)) or "neither max_tokens nor temperature"
        kept = ", ".join((kept, *self.more)) if self.more else kept
        return f"the LLM server refuses a parameter: it is sent {kept} from now on ({why[:SHOWN_CHARS]})"
