"""Numbers that a command prints: what is not finite, or too large to be one, is not a number."""

from __future__ import annotations

import pytest

from autoresearch.trials.command.returned import _number


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e999", "1e30", "", "x", "12x"])
def test_what_is_not_a_number(text: str) -> None:
    assert _number(text) is None


@pytest.mark.parametrize(("text", "number"), [("12", 12.0), ("1,234.5", 1234.5), ("40%", 40.0), ("-0.5", -0.5)])
def test_what_is_one(text: str, number: float) -> None:
    assert _number(text) == number
