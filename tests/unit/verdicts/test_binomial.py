"""The exact bound of a counted probability."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.verdicts.binomial import upper_bound


@pytest.mark.parametrize(
    ("count", "of", "bound"),
    [(0, 10_000, 1 - 0.05 ** (1 / 10_000)), (0, 60, 1 - 0.05 ** (1 / 60)), (1, 10, 0.3942), (5, 10, 0.7776), (7, 7, 1)],
)
def test_the_bound_is_the_published_one(count, of, bound):
    assert upper_bound(count, of) == pytest.approx(bound, abs=5e-5)


@given(st.integers(1, 5000), st.floats(0, 1))
def test_the_bound_is_above_the_share(of, share):
    count = int(of * share)
    assert count / of <= upper_bound(count, of) <= 1


@pytest.mark.parametrize(("count", "of"), [(-1, 5), (6, 5), (0, 0)])
def test_what_is_not_a_count_is_refused(count, of):
    with pytest.raises(ValueError, match="not a count"):
        upper_bound(count, of)
