"""Two sets of scores compared: by case, with interval, test and verdict; and what missing samples leave open."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch.benches.comparison import compare_scores
from autoresearch.benches.statistics.mcnemar import mcnemar_exact
from autoresearch.benches.statistics.missing import Scores
from tests.examples import examples


def binary(pattern: str) -> dict[str, tuple[float | None, ...]]:
    """One sample per case: ``1`` correct, ``0`` wrong, ``?`` missing."""
    return {f"c{n:03}": ({"1": 1.0, "0": 0.0, "?": None}[mark],) for n, mark in enumerate(pattern)}


def test_binary_scores_of_one_sample_are_tested_by_mcnemar():
    found = compare_scores("accuracy", binary("0000000011"), binary("1111111101")).paired
    assert found is not None
    assert (found.a_higher, found.b_higher, found.cases) == (1, 8, 10)
    assert found.p == mcnemar_exact(1, 8) == pytest.approx(2 * (1 + 9) / 2**9)
    assert found.test == "McNemar's exact test"
    assert (found.mean_a, found.mean_b, found.difference) == (0.2, 0.9, pytest.approx(0.7))
    assert found.verdict == "B"
    assert found.sentence.startswith("B scores higher: B minus A is +70.0 points (95% interval +")
    assert "p = 0.039" in found.sentence
    other = compare_scores("accuracy", binary("1111111101"), binary("0000000011"))
    assert (other.verdict, other.paired and other.paired.difference) == ("A", pytest.approx(-0.7))


def test_several_samples_are_one_observation_of_their_case():
    a = {f"c{n}": (0.0, 0.0, 1.0) for n in range(8)}
    b = {f"c{n}": (1.0, 0.0, 1.0) for n in range(8)}
    found = compare_scores("pass@1", a, b).paired
    assert found is not None
    assert found.test == "sign-flip test"
    assert found.p == pytest.approx(2 / 2**8)
    assert found.difference == pytest.approx(1 / 3)
    assert (found.detectable, found.interval) == (pytest.approx(0, abs=1e-12), None)


def test_it_joins_by_id_and_the_order_has_no_influence():
    a, b = binary("0011010111"), binary("0111011101")
    turned = dict(reversed(b.items()))
    assert compare_scores("x", a, b) == compare_scores("x", dict(reversed(a.items())), turned)


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ("0101", "0101", "All 4 cases have the same score on both sides."),
        ("0000000", "1111100", "5 cases differ; with fewer than 6 no result reaches p < 0.05."),
        ("0" * 40 + "1" * 10, "0" * 33 + "1" * 7 + "1" * 7 + "0" * 3, "A true difference below"),
    ],
)
def test_it_says_that_it_cannot_tell_and_why(a, b, why):
    found = compare_scores("accuracy", binary(a), binary(b))
    assert found.verdict == "cannot tell"
    assert found.sentence.startswith("Cannot tell which scores higher: B minus A is ")
    assert why in found.sentence


def test_the_cases_that_a_difference_needs():
    found = compare_scores("accuracy", binary("0" * 40 + "1" * 10), binary("0" * 33 + "1" * 14 + "0" * 3))
    assert found.paired is not None
    assert found.paired.cases_needed is not None
    assert f"about {found.paired.cases_needed:,} cases" in found.sentence


def test_missing_samples_bound_the_difference():
    found = compare_scores("accuracy", binary("?000"), binary("0001"))
    assert found.paired is None
    assert found.bounds is not None
    assert [side.difference for side in found.bounds] == [0.0, 0.25]
    assert (found.missing_a, found.missing_b, found.verdict) == (1, 0, "cannot tell")
    assert "between +0.0 and +25.0 points, because 1 samples of A and 0 of B are without a score" in found.sentence


def test_a_verdict_that_missing_samples_cannot_change():
    found = compare_scores("accuracy", binary("0" * 20 + "?"), binary("1" * 20 + "1"))
    assert found.verdict == "B"
    assert found.sentence.startswith("B scores higher, whatever the missing samples are")


@settings(max_examples=examples(60))
@given(st.lists(st.sampled_from(["00", "01", "10", "11", "?0", "?1", "0?", "1?"]), min_size=7, max_size=13))
def test_every_completion_has_the_verdict_of_the_bounds(pairs):
    a, b = binary("".join(p[0] for p in pairs)), binary("".join(p[1] for p in pairs))
    bounded = compare_scores("x", a, b)
    holes = [(side, case) for side in (a, b) for case, (score,) in side.items() if score is None][:6]
    rest = {id(side): {c: s if s != (None,) else (0.0,) for c, s in side.items()} for side in (a, b)}
    if len([1 for side in (a, b) for s in side.values() if s == (None,)]) > 6 or bounded.verdict == "cannot tell":
        return
    for values in product((0.0, 1.0), repeat=len(holes)):
        sides: dict[int, Scores] = {key: dict(side) for key, side in rest.items()}
        for (side, case), value in zip(holes, values, strict=True):
            sides[id(side)] = {**sides[id(side)], case: (value,)}
        assert compare_scores("x", sides[id(a)], sides[id(b)]).verdict == bounded.verdict


def test_other_cases_are_refused():
    with pytest.raises(ValueError, match="same cases"):
        compare_scores("x", binary("01"), binary("011"))
    with pytest.raises(ValueError, match="at least one"):
        compare_scores("x", {}, {})
