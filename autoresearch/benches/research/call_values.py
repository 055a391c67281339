"""A tool call as a model wrote it, and what is wrong with one that cannot be read. Nothing is repaired by guessing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autoresearch.benches.jsonl import NotJson, decode_json

Source = Literal["native", "text"]
Format = Literal["native", "tool_call json", "tool_call xml", "TOOLCALL", "python_tag", "bare json"]
MAX_CALLS = 16  # of one answer: more are a loop of the model
MAX_EXCERPT_CHARS = 200


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that could be read. ``id`` is the server's own, for a native call."""

    name: str
    arguments: Mapping[str, Any]
    format: Format
    id: str = ""

    @property
    def source(self) -> Source:
        """Whether the server or this program read it."""
        return "native" if self.format == "native" else "text"


@dataclass(frozen=True, slots=True)
class CallError:
    """A call that could not be read; ``problem`` is told to the model."""

    problem: str
    format: Format
    id: str = ""


@dataclass(frozen=True, slots=True)
class ParsedCalls:
    """All calls of one answer in their order, the unreadable ones, and the answer without any of them."""

    calls: tuple[ToolCall, ...]
    errors: tuple[CallError, ...]
    text: str  # without thinking, too


class BadCall(ValueError):
    """What is wrong with a call."""


def decode_arguments(raw: object) -> dict[str, Any]:
    """Arguments as an object, or as the text of one, which OpenAI's own form has. Raises ``BadCall``."""
    value = raw
    if isinstance(raw, str):
        try:
            value = decode_json(raw) if raw.strip() else {}
        except NotJson as e:
            raise BadCall(f"the arguments are not valid JSON ({e})") from e
    if not isinstance(value, dict):
        raise BadCall(f"the arguments are {_kind(value)}, not a JSON object")
    return value


def call_from_json(value: object, form: Format) -> ToolCall:
    """A call from ``{"name": .., "arguments": {..}}``, or with ``parameters`` as Llama has it. Raises ``BadCall``."""
    if not isinstance(value, dict):
        raise BadCall(f"the call is {_kind(value)}, not a JSON object")
    name = value.get("name")
    if not isinstance(name, str) or not name.strip():
        raise BadCall('the call has no "name"')
    given = [key for key in ("arguments", "parameters") if key in value]
    if not given:
        raise BadCall('the call has no "arguments"')
    if len(given) == 2 and value["arguments"] != value["parameters"]:
        raise BadCall('the call has both "arguments" and "parameters", and they differ')
    return ToolCall(name.strip(), decode_arguments(value[given[0]]), form)


def calls_from_json(value: object, form: Format) -> list[ToolCall]:
    """One call, or a list of them. Raises ``BadCall``, also for an empty list."""
    if isinstance(value, list) and not value:
        raise BadCall("the list of calls is empty")
    return [call_from_json(item, form) for item in (value if isinstance(value, list) else [value])]


def read_json_prefix(text: str, start: int) -> tuple[Any, int]:
    """The JSON value that begins at ``start``, and where it ends. Raises ``BadCall``."""
    try:
        _, end = json.JSONDecoder().raw_decode(text, start)
        return decode_json(text[start:end]), end
    except RecursionError as e:
        raise BadCall("the JSON is nested too deeply") from e
    except json.JSONDecodeError as e:
        at_end = not text[e.pos :].strip() or e.msg.startswith("Unterminated string")
        raise BadCall(f"the JSON is {'cut off' if at_end else 'not valid'} ({e.msg})") from e
    except ValueError as e:
        raise BadCall(f"the JSON is not valid ({e})") from e


def merge(calls: Sequence[ToolCall], errors: Sequence[CallError], text: str) -> ParsedCalls:
    """The result of a parser; calls beyond ``MAX_CALLS`` become one error that counts them."""
    kept = tuple(calls[:MAX_CALLS])
    more = len(calls) - len(kept)
    extra = (CallError(f"{more} calls beyond the first {MAX_CALLS} were not run", calls[-1].format),) if more else ()
    return ParsedCalls(kept, (*errors, *extra), text.strip())


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
