"""The values that a knob accepts, their canonical form, and when two values are the same."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rails import ChoiceKnob, FloatKnob, IntKnob, same_value
from rails.knobs import show

LAYERS = IntKnob("n_layer", low=4, high=48, default=24)
DECAY = FloatKnob("weight_decay", low=0.0, high=0.5, default=0.0)
HEADS = ChoiceKnob("n_head", choices=(4, 8, 16), default=8)
PRECISION = ChoiceKnob("precision", choices=("bf16", "fp8"), default="fp8")

NO_KNOB_TAKES = [None, [], {}, [4], {"value": 4}, True, False, float("nan"), float("inf"), -float("inf")]


@pytest.mark.parametrize("knob", [LAYERS, DECAY, HEADS, PRECISION], ids=lambda k: k.name)
@pytest.mark.parametrize("value", NO_KNOB_TAKES, ids=repr)
def test_no_knob_takes_what_is_no_value(knob, value):
    canonical, why = knob.accept(value)
    assert canonical is None
    assert knob.name in why


@pytest.mark.parametrize("value", [3.0, 24.0, "24", 3, 49, -24, 10**30])
def test_an_int_knob_takes_whole_numbers_in_its_range_only(value):
    assert LAYERS.accept(value)[0] is None


@pytest.mark.parametrize("value", [4, 24, 48])
def test_an_int_knob_takes_both_ends_of_its_range(value):
    assert LAYERS.accept(value) == (value, "")


@pytest.mark.parametrize(
    ("value", "canonical"), [(0, "0.0"), (0.0, "0.0"), (-0.0, "0.0"), (0.5, "0.5"), (5e-324, "5e-324"), (0.1, "0.1")]
)
def test_a_float_knob_takes_any_number_in_its_range_and_makes_it_a_float(value, canonical):
    accepted, why = DECAY.accept(value)
    assert (repr(accepted), why) == (canonical, "")


@pytest.mark.parametrize("value", [0.5000001, -1e-12, 1, -1, 10**400, -(10**400), "0.1", "1e-3"])
def test_a_float_knob_refuses_what_is_outside_or_no_number(value):
    assert DECAY.accept(value)[0] is None


@pytest.mark.parametrize(
    ("knob", "value"), [(HEADS, 8.0), (HEADS, "8"), (HEADS, 6), (PRECISION, 8), (PRECISION, "FP8")]
)
def test_a_choice_is_taken_as_it_is_written_or_not_at_all(knob, value):
    canonical, why = knob.accept(value)
    assert canonical is None
    assert knob.describe() in why


def test_true_is_not_the_choice_1():
    assert ChoiceKnob("n_head", choices=(1, 2, 4), default=2).accept(True)[0] is None
    assert ChoiceKnob("n_head", choices=(0, 1), default=1).accept(False)[0] is None


def test_a_refusal_says_the_value_and_the_range():
    assert LAYERS.accept(96) == (None, "n_layer = 96 is outside [4, 48]")
    assert DECAY.accept("high") == (None, "weight_decay takes a number, not 'high'")
    assert HEADS.accept(6) == (None, "n_head = 6 is not one of {4, 8, 16}")
    assert PRECISION.accept("fp64") == (None, "precision = 'fp64' is not one of {bf16, fp8}")


@pytest.mark.parametrize(
    ("a", "b"),
    [(1, 1), (1, 1.0), ("fp8", "fp8"), (3e-4, 3e-4 * (1 + 1e-10)), (0.0, -0.0), (1e300, 1e300 * (1 - 1e-10))],
)
def test_one_value(a, b):
    assert same_value(a, b)
    assert same_value(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (3e-4, 3e-4 * (1 + 2e-9)),
        (0.0, 1e-300),  # nothing is near zero relatively
        (1e-3, -1e-3),
        (10**9, 10**9 + 1),  # whole numbers are exact, however large
        (2**60, 2**60 + 1),
        ("1", 1),
        ("1.0", 1.0),
        ("fp8", "bf16"),
        (math.nan, math.nan),
        (None, None),
        ([1], [1]),
    ],
)
def test_two_values(a, b):
    assert not same_value(a, b)
    assert not same_value(b, a)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary(), st.lists, max_leaves=20
    )
)
def test_whatever_is_shown_is_short_printable_ascii(value):
    shown = show(value)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 60


def test_what_cannot_be_written_down_is_shown_by_its_kind():
    bottomless: list = []
    for _ in range(100_000):
        bottomless = [bottomless]
    assert show(bottomless) == "<list>"
    assert show(10**5000) == "<int>"
