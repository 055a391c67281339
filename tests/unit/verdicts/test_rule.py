"""What each test may spend, and what the constants of the rule refuse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.errors import ConfigError
from autoresearch.verdicts import SequentialRule, alpha_of_test
from autoresearch.verdicts.rule import alpha_spent


@pytest.mark.parametrize(
    ("j", "share"), [(1, 0.5 / 64), (64, 0.5 / 64), (65, 1 / 6 / 128), (192, 1 / 6 / 128), (193, 1 / 12 / 256)]
)
def test_each_block_shares_its_part_evenly(j, share):
    assert alpha_of_test(0.05, j) == pytest.approx(0.05 * share)


def test_no_number_of_tests_spends_more_than_alpha():
    spent = sum(alpha_of_test(0.05, j) for j in range(1, 20_000))
    assert 0.85 * 0.05 < spent < 0.05


@given(j=st.integers(1, 10**12))
def test_a_later_test_never_spends_more(j):
    assert 0 < alpha_of_test(0.05, j + 1) <= alpha_of_test(0.05, j)


@given(j=st.integers(1, 1000), least=st.integers(2, 20), more=st.integers(0, 20))
def test_the_looks_of_a_test_spend_what_the_test_may_spend(j, least, more):
    rule = SequentialRule(0.005, min_seeds=least, max_seeds=least + more)
    spent = sum(rule.level(j, n) for n in range(least, least + more + 1))
    assert spent == pytest.approx(alpha_of_test(0.05, j))


def test_there_is_no_test_before_the_first():
    with pytest.raises(ValueError, match="first is 1"):
        alpha_of_test(0.05, 0)


@pytest.mark.parametrize(
    "wrong",
    [{"alpha": 0}, {"alpha": 1}, {"min_seeds": 1}, {"min_seeds": 9}, {"max_seeds": 3}, {"clip": 0}],
)
def test_a_rule_that_cannot_hold_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SequentialRule(0.005, **({"min_seeds": 4, "max_seeds": 8} | wrong))


@pytest.mark.parametrize("tests", [0, 1, 64, 65, 192, 193, 1000])
def test_what_is_spent_is_the_sum_of_the_shares(tests: int) -> None:
    assert alpha_spent(0.05, tests) == pytest.approx(sum(alpha_of_test(0.05, j) for j in range(1, tests + 1)))
