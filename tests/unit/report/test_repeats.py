"""Which proposals count as the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autoresearch.report.repeats import number_pairs
from rails import same_value


def test_a_value_is_the_same_within_a_billionth():
    assert number_pairs([("lr", 1e-3), ("lr", 1e-3 * (1 + 5e-10)), ("lr", 1e-3 * (1 + 5e-9))]) == [0, 0, 1]


def test_the_same_value_of_another_knob_is_another_pair():
    assert number_pairs([("beta1", 0.9), ("beta2", 0.9), ("beta1", 0.9)]) == [0, 1, 0]


def test_a_number_and_its_text_differ_and_a_whole_float_is_its_integer():
    assert number_pairs([("lr", 1), ("lr", "1"), ("lr", 1.0)]) == [0, 1, 0]


BASES = st.sampled_from([0.0, 1.0, -1.0, 1e-5, 3e8])
NEAR = st.builds(lambda base, steps: base * (1 + steps * 4e-10), BASES, st.integers(-6, 6))
VALUES = NEAR | st.integers(-3, 3) | st.sampled_from(["bf16", "fp8"])


def naive(proposals):
    known, numbers = [], []
    for knob, value in proposals:
        same = [n for n, (k, v) in enumerate(known) if k == knob and same_value(v, value)]
        numbers.append(same if same else [len(known)])
        if not same:
            known.append((knob, value))
    return numbers


@given(st.lists(st.tuples(st.sampled_from(["lr", "beta1"]), VALUES), max_size=30))
def test_bisection_finds_what_comparing_with_all_finds(proposals):
    expected = naive(proposals)
    found = number_pairs(proposals)
    assert all(number in choices for number, choices in zip(found, expected, strict=True))
