"""The names under which a server takes the parameters of a chat: servers and models differ, and refuse by name."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

_NAMES = re.compile(r"\b(max_completion_tokens|max_tokens|temperature)\b")


@dataclass(frozen=True, slots=True)
class Parameters:
    """``None``: the parameter is not sent."""

    max_tokens: str | None = "max_tokens"
    temperature: str | None = "temperature"

    def fields(self, max_tokens: int, temperature: float) -> dict[str, Any]:
        """The part of the request's body."""
        named = {self.max_tokens: max_tokens, self.temperature: temperature}
        return {name: value for name, value in named.items() if name is not None}

    def without(self, name: str) -> Parameters:
        """The next thing to try after ``name`` was refused: its newer name, then the server's default."""
        if name == self.temperature:
            return replace(self, temperature=None)
        return replace(self, max_tokens="max_completion_tokens" if name == "max_tokens" else None)

    def refused_in(self, message: str) -> str | None:
        """The first parameter that is sent and that the refusal names."""
        sent = (self.max_tokens, self.temperature)
        return next((match[1] for match in _NAMES.finditer(message) if match[1] in sent), None)
