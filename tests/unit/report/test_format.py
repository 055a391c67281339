"""Untrusted text made harmless, and quantities made readable."""

from __future__ import annotations

import unicodedata
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.report.format import (
    clip,
    describe_budget,
    format_bpb,
    format_change,
    format_duration,
    format_percent,
    pad,
    safe,
    width_of,
)

ANY_TEXT = st.text(st.characters(), max_size=200)  # surrogates, controls and private use included


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\nb\tc\r\nd", "a b c d"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("abc\u202ecba", r"abc\u202ecba"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("\ud800", r"\ud800"),
        ("bell\x07 \x9b1m", r"bell\x07 \x9b1m"),
        ("größer, 大", "größer, 大"),
    ],
)
def test_what_could_act_or_hide_is_shown_as_its_escape(raw, shown):
    assert safe(raw, 60) == shown


@given(ANY_TEXT, st.integers(1, 60))
def test_safe_text_is_one_printable_line_that_fits(text, cells):
    shown = safe(text, cells)
    assert all(char.isprintable() for char in shown)
    assert width_of(shown) <= cells
    assert len(shown) <= 4 * cells + 1
    shown.encode()


@given(ANY_TEXT, st.integers(0, 60))
def test_padding_fills_exactly(text, cells):
    line = "".join(char for char in text if char.isprintable())
    assert width_of(pad(line, cells)) == cells


def test_a_letter_under_a_thousand_marks_is_cut():
    assert len(safe("a" + "\u0301" * 1000, 10)) <= 41
    assert unicodedata.category("\u0301") == "Mn"


def test_clipping_says_that_something_is_missing():
    assert clip("abcdef", 4) == "abc…"
    assert clip("大大大", 4) == "大…"
    assert clip("abcd", 4) == "abcd"
    assert clip("abc", 0) == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "unknown"),
        (0.0, "0.00 s"),
        (0.655, "0.66 s"),
        (47.4, "47 s"),
        (59.7, "1 min 00 s"),
        (247, "4 min 07 s"),
        (3599.6, "1 h 00 min"),
        (4406.2, "1 h 13 min"),
        (86399, "1 d 00 h"),
        (183_000, "2 d 03 h"),
    ],
)
def test_a_span_has_two_units_at_most(seconds, words):
    assert format_duration(seconds) == words


def test_numbers_and_names():
    assert (format_percent(0.0093), format_percent(-0.2558), format_percent(None)) == ("+0.93%", "-25.58%", "-")
    assert (format_bpb(3.36954), format_bpb(None)) == ("3.3695", "-")
    assert (format_change("lr", 0.001, 20), format_change(None, None, 20)) == ("lr = 0.001", "-")


@pytest.mark.parametrize(("owns", "text"), [(True, "the script's own budget"), (False, "60 steps"), (None, "60 steps")])
def test_a_budget_that_the_script_keeps_has_no_size(owns: bool | None, text: str) -> None:
    command = None if owns is None else SimpleNamespace(owns_budget=owns)
    yardstick: Any = SimpleNamespace(command=command, budget_kind="steps", budget_size=60.0)
    assert describe_budget(yardstick) == text
