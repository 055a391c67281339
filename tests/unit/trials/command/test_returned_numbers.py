"""Numbers that a command prints: what is not finite, or too large to be one, is not a number."""

from __future__ import annotations

import pytest

from autoresearch.trials.command.number import parse_number
from autoresearch.trials.command.returned import _number


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e999", "1e30", "", "x", "12x"])
def test_what_is_not_a_number(text: str) -> None:
    assert _number(text) is None


@pytest.mark.parametrize(("text", "number"), [("12", 12.0), ("1,234.5", 1234.5), ("40%", 40.0), ("-0.5", -0.5)])
def test_what_is_one(text: str, number: float) -> None:
    assert _number(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("1,234.5", 1234.5), ("-1,234,567", -1234567.0), ("93.1%", 93.1), ("3.21,", 3.21)),
        *((text, None) for text in ("0,931", "1,234", "12,34", "1,23,456", "3.21,4", ",")),
    ],
)
def test_a_comma_in_a_metric_counts_only_where_it_cannot_be_a_decimal_point(text: str, number: float | None) -> None:
    try:
        assert parse_number(text) == number
    except ValueError:
        assert number is None
    assert parse_number("1,234", is_count=True) == 1234
