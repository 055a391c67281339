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


@pytest.mark.parametrize(
    ("wrong", "what", "hint"),
    [
        ({"alpha": 1}, "alpha = 1 is not a probability above 0 and below 1", "alpha = 0.05"),
        ({"alpha": 0}, "alpha = 0 is not a probability above 0 and below 1", "alpha = 0.05"),
        ({"min_seeds": 1}, "min_seeds = 1 is not between 2 and max_seeds = 8", "max_seeds = 12"),
        ({"min_seeds": 20}, "min_seeds = 20 is not between 2 and max_seeds = 8", "max_seeds = 20"),
        ({"clip": -1}, "clip = -1 is not above 0", "clip = 4.5"),
    ],
)
def test_a_refusal_names_the_value_and_what_to_set(wrong, what, hint):
    with pytest.raises(ConfigError) as refused:
        SequentialRule(0.005, **({"min_seeds": 4, "max_seeds": 8} | wrong))
    assert (refused.value.what, refused.value.hint) == (what, hint)


def test_two_seeds_and_one_look_are_enough_for_a_rule():
    rule = SequentialRule(0.005, min_seeds=2, max_seeds=2, clip=0.5)
    assert rule.level(1, 2) == alpha_of_test(0.05, 1)


def test_the_first_look_gets_a_quarter_and_the_others_share_the_rest():
    rule = SequentialRule(0.005, alpha=0.1, min_seeds=3, max_seeds=6)
    assert [64 * rule.level(1, n) for n in (3, 4, 5, 6)] == pytest.approx([0.0125, 0.0125, 0.0125, 0.0125])
    assert 64 * SequentialRule(0.005, alpha=0.1, min_seeds=3, max_seeds=9).level(1, 9) == pytest.approx(0.00625)


def test_a_test_before_the_first_is_named():
    with pytest.raises(ValueError, match=r"^test number -3: the first is 1$"):
        alpha_of_test(0.05, -3)
