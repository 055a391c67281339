"""Missing samples: counted, and as 0 and as 1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.statistics.missing import bounds, case_means, count_missing, filled, mean_of_cases

scores = st.dictionaries(
    st.text(max_size=2),
    st.lists(st.none() | st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=3).map(tuple),
    min_size=1,
    max_size=5,
)


@given(scores, st.data())
def test_the_bounds_enclose_every_complete_run(given_scores, data):
    low, high = bounds(mean_of_cases, given_scores)
    complete = {
        case: tuple(data.draw(st.floats(0, 1)) if s is None else s for s in samples)
        for case, samples in given_scores.items()
    }
    assert low - 1e-12 <= mean_of_cases(complete) <= high + 1e-12
    assert (low == high) == (count_missing(given_scores) == 0)


def test_examples():
    table = {"a": (1.0, None), "b": (0.0, 0.5)}
    assert count_missing(table) == 1
    assert filled(table, 1.0) == {"a": (1.0, 1.0), "b": (0.0, 0.5)}
    assert case_means(filled(table, 0.0)) == {"a": 0.5, "b": 0.25}
    assert bounds(mean_of_cases, table) == (0.375, 0.625)


def test_nothing_has_no_mean():
    with pytest.raises(ValueError, match="no case"):
        mean_of_cases({})
    with pytest.raises(ValueError, match="'a' has no planned sample"):
        mean_of_cases({"a": ()})
