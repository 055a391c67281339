"""Which values a table measures: spread on the knob's own scale over the part of its range that is allowed."""

from __future__ import annotations

import math

import pytest

from autoresearch.benches.proposers.plan import knob_values, plan_changes
from rails import ChoiceKnob, FloatKnob, IntKnob
from rails.menu import parse_menu


def always(_value):
    return True


def test_choices_and_small_ranges_are_measured_whole():
    assert knob_values(ChoiceKnob("k", ("x", "y"), "x"), 2, always) == ["x", "y"]
    assert knob_values(IntKnob("k", 1, 6, 2), 7, always) == [1, 2, 3, 4, 5, 6]


def test_a_log_range_is_spread_by_ratios_and_a_linear_one_by_differences():
    values = knob_values(FloatKnob("k", 1e-4, 1.0, 0.1, log=True), 5, always)
    assert values == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    assert knob_values(FloatKnob("k", 0.0, 1.0, 0.1), 5, always) == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert knob_values(IntKnob("k", 0, 100, 2), 5, always) == [0, 25, 50, 75, 100]


def test_only_the_allowed_part_of_a_range_is_measured():
    values = knob_values(FloatKnob("k", 0.0, 1.0, 0.1), 4, lambda v: 0.2 <= float(v) <= 0.5)
    assert values == pytest.approx([0.2, 0.3, 0.4, 0.5])


def test_the_baseline_is_not_a_change_and_no_value_comes_twice():
    menu = parse_menu(
        {
            "version": 1,
            "knobs": {
                "a": {"type": "float", "low": 0.0, "high": 1.0, "default": 0.5},
                "b": {"type": "float", "low": 1.0, "high": 1.0 + 1e-12, "default": 1.0},
                "c": {"type": "choice", "choices": [1, 2], "default": 1},
            },
        }
    )
    changes = list(plan_changes(menu, menu.defaults, 3, lambda _k, _v: True))
    assert changes == [("a", 0.0), ("a", 1.0), ("c", 2)]
    assert all(math.isfinite(float(v)) for _, v in changes)
