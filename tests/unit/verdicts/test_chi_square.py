"""The chi-square against published tables, and the quantile against the distribution."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.verdicts.chi_square import lower_tail, quantile


@pytest.mark.parametrize(
    ("df", "p", "expected"),  # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.4
    [(1, 0.95, 3.841), (2, 0.025, 0.051), (2, 0.975, 7.378), (5, 0.99, 15.086), (10, 0.05, 3.940), (30, 0.975, 46.979),
     (100, 0.025, 74.222), (100, 0.999, 149.449)],
)  # fmt: skip
def test_the_quantiles_are_those_of_the_published_table(df, p, expected):
    assert quantile(p, df) == pytest.approx(expected, abs=6e-4)


@given(p=st.floats(1e-6, 1 - 1e-6), df=st.floats(0.25, 5000))
def test_the_quantile_inverts_the_distribution(p, df):
    assert lower_tail(quantile(p, df), df) == pytest.approx(p, rel=1e-6)


def test_the_cube_continues_where_the_series_ends():
    assert quantile(0.025, 1e5 - 1) / (1e5 - 1) == pytest.approx(quantile(0.025, 1e5) / 1e5, rel=2e-7)
    assert lower_tail(1e5, 1e5) == pytest.approx(lower_tail(1e5 - 1, 1e5 - 1), rel=1e-6)


@pytest.mark.parametrize(("p", "df"), [(0, 2), (1, 2), (0.5, 0), (0.5, -1)])
def test_what_is_not_defined_is_refused(p, df):
    with pytest.raises(ValueError, match="not defined"):
        quantile(p, df)


def test_nothing_is_below_zero():
    assert lower_tail(-1, 3) == lower_tail(0, 3) == 0


@pytest.mark.parametrize("x", [1e-6, 0.5, 3.0, 40.0])
def test_one_and_two_degrees_of_freedom_have_a_closed_form(x: float) -> None:
    assert lower_tail(x, 2) == pytest.approx(-math.expm1(-x / 2), rel=1e-12)
    assert lower_tail(x, 1) == pytest.approx(math.erf(math.sqrt(x / 2)), rel=1e-12)


@pytest.mark.parametrize("p", [1e-6, 0.3, 0.999])
def test_the_quantile_has_one_too(p: float) -> None:
    assert quantile(p, 2) == pytest.approx(-2 * math.log1p(-p), rel=1e-10)


@pytest.mark.parametrize("x", range(120, 400, 10))
def test_a_probability_is_never_above_one(x: float) -> None:
    """The sum of the series can be, by a rounding error."""
    assert 1 - 1e-12 < lower_tail(x, 1) <= 1
