"""Tool calls in a server's own field: what is a call, and what stays as text."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from autoresearch.llm.tool_calls import MAX_CALLS, NativeToolCall, parse_tool_calls

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
NAMES = st.sampled_from(["tool_calls", "function_call", "id", "function", "name", "arguments", "type"])
SHAPED = st.recursive(JSON, lambda inner: st.dictionaries(NAMES, inner, max_size=4) | st.lists(inner, max_size=3))


def call(**fields: Any) -> dict[str, Any]:
    return {"id": "a", "type": "function", "function": {"name": "search", "arguments": "{}", **fields}}


def test_no_calls() -> None:
    for message in ({}, {"tool_calls": None}, {"tool_calls": []}, {"function_call": None}):
        assert parse_tool_calls(message) == ((), ())


def test_arguments_are_the_text_of_the_model_and_are_not_parsed() -> None:
    assert parse_tool_calls({"tool_calls": [call(arguments='{"a": ')]}) == (
        (NativeToolCall("a", "search", '{"a": '),),
        (),
    )


def test_parsed_arguments_become_text_again() -> None:
    ((found,), malformed) = parse_tool_calls({"tool_calls": [call(arguments={"a": [1, "é"]})]})
    assert json.loads(found.arguments) == {"a": [1, "é"]}
    assert malformed == ()


def test_more_calls_than_any_model_makes_are_text() -> None:
    calls, malformed = parse_tool_calls({"tool_calls": [call()] * (MAX_CALLS + 2)})
    assert (len(calls), len(malformed)) == (MAX_CALLS, 2)


@given(SHAPED, SHAPED)
def test_whatever_stands_there_every_entry_is_a_call_or_text(calls: Any, older: Any) -> None:
    found, malformed = parse_tool_calls({"tool_calls": calls, "function_call": older})
    entries = (len(calls) if isinstance(calls, list) else bool(calls)) + bool(older)
    assert len(found) + len(malformed) == entries
    for one in found:
        assert one.id
        assert one.name.strip()
        f"{one.id}{one.name}{one.arguments}".encode()
    "".join(malformed).encode()
