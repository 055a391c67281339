"""Tool calls in the server's own field of a message: untrusted, and never repaired."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_CALLS = 64  # of one message
_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = 400


@dataclass(frozen=True, slots=True)
class NativeToolCall:
    """A tool call in the server's own field. ``arguments`` is the text that the model wrote, not parsed."""

    id: str
    name: str
    arguments: str


def parse_tool_calls(message: Mapping[str, Any]) -> tuple[tuple[NativeToolCall, ...], tuple[str, ...]]:
    """The calls of a message in their order, and each malformed one as text.

    A call needs a name, and arguments that are text or an object (some servers parse them); no arguments are "{}".
    A missing id is numbered: the answer to a call must name one.
    """
    listed = message.get("tool_calls")
    entries = list(listed) if isinstance(listed, list) else [listed] if listed else []
    if message.get("function_call"):  # the older field, of one call
        entries.append({"function": message["function_call"]})
    calls: list[NativeToolCall] = []
    malformed: list[str] = []
    for number, entry in enumerate(entries):
        call = _parse(entry, f"call_{number}") if number < MAX_CALLS else None
        if call is None:
            malformed.append(_as_text(entry))
        else:
            calls.append(call)
    return tuple(calls), tuple(malformed)


def _parse(entry: object, default_id: str) -> NativeToolCall | None:
    function = entry.get("function") if isinstance(entry, Mapping) else None
    if not isinstance(entry, Mapping) or not isinstance(function, Mapping):
        return None
    name, arguments, given = function.get("name"), function.get("arguments"), entry.get("id")
    if not isinstance(name, str) or not name.strip():
        return None
    if isinstance(arguments, Mapping):
        arguments = _as_text(arguments)
    elif arguments is None:
        arguments = "{}"
    if not isinstance(arguments, str):
        return None
    return NativeToolCall(
        _clean(given) if isinstance(given, str) and given else default_id, _clean(name), _clean(arguments)
    )


def _as_text(value: object) -> str:
    try:
        return _clean(json.dumps(value, ensure_ascii=False))
    except (ValueError, RecursionError):
        return _SHOWN.repr(value)


def _clean(text: str) -> str:
    """Replace lone surrogates: JSON can contain them, requests and records cannot."""
    return text.encode("utf-8", "replace").decode()
