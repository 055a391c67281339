"""The probe for structured output: a schema that allows one random word only, which the messages do not contain."""

from __future__ import annotations

import json
from typing import Any, Literal

from autoresearch.core.llm_calls import Classification, Message
from autoresearch.llm.answer import Answer

# ``unknown``: the model spent the probe's tokens on its thinking, or no probe was made yet. A schema is sent.
Structured = Literal["unknown", "enforced", "ignored", "rejected"]
GREETING = (Message(role="user", content="Say hello."),)
PROBE_TOKENS = 512  # a reasoning model thinks before it answers


def probe_schema(word: str) -> dict[str, Any]:
    properties = {"word": {"type": "string", "enum": [word]}}
    return {"type": "object", "properties": properties, "required": ["word"], "additionalProperties": False}


def schema_support(answer: Answer, word: str) -> Structured:
    """What the answer to a probe shows; ``unknown`` where the tokens ran out in the thinking."""
    if answer.classification is not Classification.OK:
        return "unknown"
    try:
        return "enforced" if json.loads(answer.text) == {"word": word} else "ignored"
    except (ValueError, RecursionError):
        return "ignored"
