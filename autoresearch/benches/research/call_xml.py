"""The calls of Qwen3-Coder and Nemotron 3: ``<function=NAME><parameter=KEY>`` value ``</parameter></function>``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoresearch.benches.jsonl import NotJson, decode_json
from autoresearch.benches.research.call_values import BadCall, ToolCall

FUNCTION = re.compile(r"<function=([^<>\n]*)>")
_PARAMETER = re.compile(r"\s*<parameter=([^<>\n]*)>")
_CLOSE = re.compile(r"\s*</function>")
_VALUE_END = "</parameter>"
# None of these can be a part of a value: the closing tag before it is missing, and the value's end is not known.
_NOT_IN_A_VALUE = re.compile(
    r"<parameter=|</?function\b|</?tool_call>|</(?:think|thinking|thought|reasoning)>|\[/THINK\]", re.IGNORECASE
)
_JSON_TYPES = frozenset({"integer", "number", "boolean", "object", "array"})

Schemas = Mapping[str, Mapping[str, Any]]  # by tool: the JSON schema of each parameter


def read_function(text: str, start: int, schemas: Schemas) -> tuple[ToolCall, int]:
    """The call whose ``<function=`` begins at ``start``, and where it ends. Raises ``BadCall``.

    A value is the text between its tags without one newline at each end. Where the tool's schema has another type
    than text it is read as JSON; what is not JSON stays text, which the tool then refuses.
    """
    opening = FUNCTION.match(text, start)
    if opening is None or not opening[1].strip():
        raise BadCall("<function= has no name")
    name, place = opening[1].strip(), opening.end()
    arguments: dict[str, Any] = {}
    while parameter := _PARAMETER.match(text, place):
        key = parameter[1].strip()
        end = text.find(_VALUE_END, parameter.end())
        value = text[parameter.end() : end if end >= 0 else len(text)]
        if end < 0 or _NOT_IN_A_VALUE.search(value):
            raise BadCall(f"<parameter={key}> is not closed by {_VALUE_END}")
        if not key or key in arguments:
            raise BadCall(f"<parameter={key}> occurs twice" if key else "<parameter= has no name")
        arguments[key] = _typed(_without_newlines(value), schemas.get(name, {}).get(key))
        place = end + len(_VALUE_END)
    closing = _CLOSE.match(text, place)
    if closing is None:
        raise BadCall(f"<function={name}> is not closed by </function> after its parameters")
    return ToolCall(name, arguments, "tool_call xml"), closing.end()


def _without_newlines(value: str) -> str:
    return value.removeprefix("\n").removesuffix("\n")


def _typed(value: str, schema: object) -> Any:
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if kind not in _JSON_TYPES:
        return value
    try:
        return decode_json(value.strip())
    except NotJson:
        return value
