"""Student's t against published tables, and the quantile against the distribution."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.verdicts.student_t import density, incomplete_beta, upper_quantile, upper_tail

# Critical values of Student's t, NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2.
TABLE = [
    # df, 0.10, 0.05, 0.025, 0.01, 0.005, 0.001
    (1, 3.078, 6.314, 12.706, 31.821, 63.657, 318.309),
    (2, 1.886, 2.920, 4.303, 6.965, 9.925, 22.327),
    (3, 1.638, 2.353, 3.182, 4.541, 5.841, 10.215),
    (5, 1.476, 2.015, 2.571, 3.365, 4.032, 5.893),
    (10, 1.372, 1.812, 2.228, 2.764, 3.169, 4.144),
    (30, 1.310, 1.697, 2.042, 2.457, 2.750, 3.385),
    (100, 1.290, 1.660, 1.984, 2.364, 2.626, 3.174),
    (math.inf, 1.282, 1.645, 1.960, 2.326, 2.576, 3.090),
]


@pytest.fixture(autouse=True)
def _no_cached_quantiles() -> None:
    """Each test computes its quantiles itself, whatever was computed before it."""
    upper_quantile.cache_clear()


@pytest.mark.parametrize("row", TABLE)
def test_the_quantiles_are_those_of_the_published_table(row):
    df, *quantiles = row
    for p, expected in zip((0.10, 0.05, 0.025, 0.01, 0.005, 0.001), quantiles, strict=True):
        assert round(upper_quantile(p, df), 3) == pytest.approx(expected, abs=0.0011)


@pytest.mark.parametrize(("df", "t"), [(1, 12.0), (2, -3.0), (2, 40.0)])
def test_one_and_two_degrees_of_freedom_have_a_closed_form(df, t):
    closed = 0.5 - math.atan(t) / math.pi if df == 1 else 0.5 * (1 - t / math.sqrt(2 + t * t))
    assert upper_tail(t, df) == pytest.approx(closed, rel=1e-9)


@given(p=st.floats(1e-12, 1 - 1e-6), df=st.floats(0.5, 2e6))
def test_the_quantile_inverts_the_distribution(p, df):
    assert upper_tail(upper_quantile(p, df), df) == pytest.approx(p, rel=1e-6)


@given(t=st.floats(-50, 50), df=st.floats(0.5, 2e6))
def test_the_distribution_is_symmetric(t, df):
    assert upper_tail(t, df) + upper_tail(-t, df) == pytest.approx(1)


@given(p=st.floats(1e-6, 0.4), df=st.floats(0.5, 1000), more=st.floats(0.1, 100))
def test_more_degrees_of_freedom_need_a_smaller_statistic(p, df, more):
    assert upper_quantile(p, df + more) < upper_quantile(p, df)


def test_the_normal_distribution_continues_where_the_fraction_ends():
    assert upper_quantile(1e-5, 9.9e5) == pytest.approx(upper_quantile(1e-5, 1e6), rel=1e-5)


def test_the_incomplete_beta_function_has_its_known_values():
    assert incomplete_beta(2, 3, 0.4) == pytest.approx(0.5248)  # 1 - sum of binomials, by hand
    assert incomplete_beta(2, 3, 0) == 0
    assert incomplete_beta(2, 3, 1) == 1


@pytest.mark.parametrize("df", [0, -1])
def test_a_distribution_without_degrees_of_freedom_is_refused(df):
    with pytest.raises(ValueError, match="degrees of freedom"):
        upper_tail(1, df)


@pytest.mark.parametrize("p", [0, 1, -0.1, math.nan])
def test_a_quantile_of_no_probability_is_refused(p):
    with pytest.raises(ValueError, match="probability"):
        upper_quantile(p, 5)


@pytest.mark.parametrize("t", [-2.5, 0.0, 0.3, 1.5, 40.0])
def test_the_density_has_a_closed_form_too(t: float) -> None:
    assert density(t, 1) == pytest.approx(1 / (math.pi * (1 + t * t)), rel=1e-12)
    assert density(t, 2) == pytest.approx((2 + t * t) ** -1.5, rel=1e-12)
    assert density(t, 4) == pytest.approx(0.375 * (1 + t * t / 4) ** -2.5, rel=1e-12)


@pytest.mark.parametrize("x", [1e-9, 0.1, 0.5, 0.9, 1 - 1e-9])
@pytest.mark.parametrize("b", [0.5, 1.0, 7.5])
def test_the_incomplete_beta_function_has_closed_forms_on_both_sides(b: float, x: float) -> None:
    assert incomplete_beta(1, b, x) == pytest.approx(1 - (1 - x) ** b, rel=1e-7)
    assert incomplete_beta(b, 1, x) == pytest.approx(x**b, rel=1e-12)


def test_outside_zero_to_one_the_incomplete_beta_function_is_zero_or_one() -> None:
    assert [incomplete_beta(2, 3, x) for x in (-1, 0, 1, 1.5, 3)] == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("t", [1e-4, 0.01, 0.5, 5.0])
def test_with_many_degrees_of_freedom_a_small_statistic_is_near_one_half(t: float) -> None:
    """The side on which the fraction converges is chosen right: on the other it does not within its terms."""
    assert upper_tail(t, 9e5) == pytest.approx(0.5 * math.erfc(t / math.sqrt(2)), rel=1e-3)


def test_from_a_million_degrees_of_freedom_on_it_is_the_normal_distribution() -> None:
    assert upper_tail(1.96, 1e6) == 0.5 * math.erfc(1.96 / math.sqrt(2))
    assert upper_tail(0.0, 3) == 0.5
    assert upper_tail(-1.0, 1) == pytest.approx(0.75)


def test_half_a_degree_of_freedom_is_enough() -> None:
    assert upper_quantile(upper_tail(2.0, 0.5), 0.5) == pytest.approx(2.0, rel=1e-9)


@pytest.mark.parametrize("df", [1, 2])
@pytest.mark.parametrize("p", [1e-12, 1e-4, 0.3, 0.5, 0.7, 0.9999])
def test_the_quantile_has_a_closed_form_far_out_and_below_zero(p: float, df: int) -> None:
    closed = 1 / math.tan(math.pi * p) if df == 1 else (1 - 2 * p) / math.sqrt(2 * p * (1 - p))
    assert upper_quantile(p, df) == pytest.approx(closed, rel=1e-7, abs=1e-12)
