"""Interactions of gains: the arithmetic, the sharing of seeds, and the coverage of the interval by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.verdicts.interaction import (
    Term,
    contrast,
    interaction,
    label_interaction,
    sum_of_parts,
    variance_factor,
)
from autoresearch.verdicts.student_t import upper_quantile

FOUR = (0, 1, 2, 3)


def term(gain: float, seeds: tuple[int, ...] = FOUR, sd: float = 0.002, df: float = 20.0) -> Term:
    return Term(gain, seeds, sd, df)


def test_one_gain_has_the_standard_error_of_a_mean():
    found = contrast([term(0.01)])
    half = upper_quantile(0.025, 20.0) * 0.002 / math.sqrt(4)
    assert found.value_frac == 0.01
    assert (found.low_frac, found.high_frac) == (pytest.approx(0.01 - half), pytest.approx(0.01 + half))


def test_parts_that_share_the_baseline_are_less_certain_than_independent_ones():
    """Two gains of the same seeds: the baseline counts twice, so the variance is 3/2 of that of independent gains."""
    assert variance_factor([term(0.01), term(0.02)]) == pytest.approx(3 / 4)
    assert variance_factor([term(0.01, (0, 1)), term(0.02, (2, 3))]) == pytest.approx(1.0)
    assert sum_of_parts([term(0.01), term(0.02)]).value_frac == pytest.approx(0.03)


def test_the_interaction_of_two_is_the_contrast_of_three_trials_and_the_baseline():
    """u - a - b over the same n seeds: sd^2 / 2 (1 + 1 + 1 + 1) / n."""
    union, parts = term(0.02), [term(0.01), term(0.02)]
    assert variance_factor([union, *(p.times(-1) for p in parts)]) == pytest.approx(4 / 2 / 4)
    assert interaction(union, parts).value_frac == pytest.approx(-0.01)


@pytest.mark.parametrize(
    ("gain", "label"),
    [(0.030, "adds up"), (0.060, "need each other"), (0.0225, "overlap"), (0.019, "cancel"), (-0.01, "cancel")],
)
def test_labels(gain: float, label: str):
    assert label_interaction(term(gain, sd=0.001), [term(0.01, sd=0.001), term(0.02, sd=0.001)]) == label


def test_without_a_known_noise_nothing_is_claimed():
    union, parts = Term(0.5, (0,)), [Term(0.01, (0,)), Term(0.02, (0,))]
    assert label_interaction(union, parts) == "unknown"
    assert (interaction(union, parts).low_frac, interaction(union, parts).high_frac) == (None, None)


@pytest.mark.parametrize("terms", [[], [Term(0.1, ())]])
def test_no_terms_or_no_seeds_is_an_error(terms: list[Term]):
    with pytest.raises(ValueError, match="seeds"):
        contrast(terms)


@given(st.lists(st.sets(st.integers(0, 9), min_size=1), min_size=1, max_size=5), st.floats(-0.9, 0.9), st.data())
def test_the_variance_is_that_of_correlated_trials(seeds: list[set[int]], rho: float, data: st.DataObject):
    """Against the whole covariance matrix of baseline and candidates, with a correlation at equal seeds."""
    factors = [data.draw(st.floats(-2, 2)) for _ in seeds]
    terms = [Term(0.0, tuple(s), 1.0, 9.0, k) for s, k in zip(seeds, factors, strict=True)]
    rho = max(rho, -1.0 / (len(seeds) + 1) + 1e-6)  # below it is not a covariance
    total = 0.0
    for seed in range(10):
        w = np.array([k / len(s) if seed in s else 0.0 for s, k in zip(seeds, factors, strict=True)])
        a = np.concatenate([[w.sum()], -w])
        covariance = (1 - rho) * np.eye(len(a)) + rho
        total += float(a @ covariance @ a) / (2 * (1 - rho))  # in units of sd^2 = 2 sigma^2 (1 - rho)
    assert variance_factor(terms) == pytest.approx(total, abs=1e-9)


def test_the_interval_covers_the_truth():
    """Additive parts with unequal seeds: the interval of the interaction holds 0 in 95% of nights."""
    rng, nights, hits = np.random.default_rng(5), 4000, 0
    counts, effects = (4, 6, 5), (0.010, 0.006, 0.016)  # part, part, union
    for _ in range(nights):
        common = 0.004 * rng.standard_normal(8)
        base = common + 0.001 * rng.standard_normal(8)
        terms = []
        for n, effect in zip(counts, effects, strict=True):
            other = common[:n] - effect + 0.001 * rng.standard_normal(n)
            terms.append(Term(float(np.mean(base[:n] - other)), tuple(range(n)), 0.001 * math.sqrt(2), 1e7))
        found = interaction(terms[2], terms[:2])
        hits += (found.low_frac or 0) <= 0 <= (found.high_frac or 0)
    assert hits / nights == pytest.approx(0.95, abs=0.012)
