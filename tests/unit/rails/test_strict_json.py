"""Strict JSON: what is refused, with reasons that are the same on every supported Python."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rails.strict_json import MAX_NESTING, StrictJsonError, _syntax_problem, parse_json

REFUSED = {
    "a trailing comma in an object": ('{"a": 1, }', "trailing comma at character 7"),
    "a trailing comma in a list": ("[1,\n\t]", "trailing comma at character 2"),
    "two commas": ("[1,,2]", "Expecting value at character 3"),
    "a comma alone": ("[,]", "Expecting value at character 1"),
    "a raw new line in a string": ('"a\nb"', "Invalid control character at character 2"),
    "an open string": ('"abc', "Unterminated string starting at character 0"),
    "text behind": ("{} {}", "Extra data at character 3"),
    "nothing": ("", "Expecting value at character 0"),
    "a key twice": ('{"a": {"b": 1, "b": 2}}', "key 'b' is written twice"),
    "NaN": ("[NaN]", "NaN is not a number"),
    "infinity": ("-Infinity", "-Infinity is not a number"),
    "a number beyond floats": ("-1e999", "'-1e999' is too large a number"),
    "an integer too long to read": ("1" * 5000, "it has a number with too many digits, or it is nested too deeply"),
    "deep lists": ("[" * 2000, "nested more than 100 levels deep"),
    "deep objects": ('{"a":' * 2000, "nested more than 100 levels deep"),
    "too deep by one": ("[" * (MAX_NESTING + 1) + "]" * (MAX_NESTING + 1), "nested more than 100 levels deep"),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_the_reason_is_the_same_on_every_python(text, reason):
    with pytest.raises(StrictJsonError) as refused:
        parse_json(text)
    assert str(refused.value) == reason


def test_brackets_within_strings_and_side_by_side_are_not_nesting():
    assert parse_json(json.dumps("[" * 500)) == "[" * 500
    assert parse_json(json.dumps(['{\\"[' * 200] * 3)) == ['{\\"[' * 200] * 3
    assert parse_json(f"[{', '.join(['[]'] * 500)}]") == [[]] * 500
    deep = parse_json("[" * MAX_NESTING + "]" * MAX_NESTING)
    assert isinstance(deep, list)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.booleans())
def test_it_reads_what_was_written(value, ascii_only):
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only)) == value


@given(st.text(max_size=60) | st.text(alphabet='[]{}",:\\1eE-.ntf ulrasN', max_size=60))
def test_any_text_is_a_value_or_refused(text):
    try:
        value = parse_json(text)
    except StrictJsonError:
        return
    assert json.loads(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("message", "text", "at", "problem"),
    [
        ("Illegal trailing comma before end of object", '{"a": 1, }', 7, "trailing comma at character 7"),  # 3.13
        ("Expecting property name enclosed in double quotes", '{"a": 1, }', 9, "trailing comma at character 7"),
        ("Expecting value", "[1, ] ", 4, "trailing comma at character 2"),
        ("Invalid control character at", '"a\nb"', 2, "Invalid control character at character 2"),
    ],
)
def test_a_trailing_comma_has_one_message_on_every_python(message, text, at, problem):
    assert _syntax_problem(json.JSONDecodeError(message, text, at)) == problem
