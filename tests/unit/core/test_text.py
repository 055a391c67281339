from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.text import describe_error, escape_control, plural, signed_percent


@given(st.text())
def test_escaped_text_is_printable_and_printable_text_is_unchanged(text: str) -> None:
    escaped = escape_control(text)
    assert escaped.isprintable()
    assert (escaped == text) is text.isprintable()


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("\x1b[2Jgone", "\\x1b[2Jgone"), ("a\u202eb", "a\\u202eb"), ("\ud800", "\\ud800"), ("zwölf µ", "zwölf µ")],
)
def test_what_could_act_or_hide_is_shown_as_its_escape(text: str, escaped: str) -> None:
    assert escape_control(text) == escaped


def test_an_error_is_described_in_one_bounded_line_of_ascii() -> None:
    line = describe_error(ValueError("first\nsecond " + "ü" * 1000), 100)
    assert line.startswith("ValueError: first\\nsecond \\xfc")
    assert (len(line), line.isascii(), line.isprintable()) == (100, True, True)


def test_a_noun_follows_its_number() -> None:
    assert [plural(n, "keep") for n in (0, 1, 2, 10_000)] == ["0 keeps", "1 keep", "2 keeps", "10,000 keeps"]


def test_a_change_has_its_sign() -> None:
    assert (signed_percent(0.03456), signed_percent(-0.2, 0), signed_percent(0.0)) == ("+3.46%", "-20%", "+0.00%")
