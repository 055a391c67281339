"""Student's t against published tables, and the quantile against the distribution."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.verdicts.student_t import incomplete_beta, upper_quantile, upper_tail

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
