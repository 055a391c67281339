"""Real trials in many orders: a large gain is always kept, none is not."""

import random

import pytest

from autoresearch.verdicts.replay_orders import replay_orders
from autoresearch.verdicts.rule import SequentialRule

RULE = SequentialRule(0.005)
NOISE = [random.Random(7).gauss(0, 0.004) for _ in range(24)]
BASELINE = [2 * (1 + e) for e in NOISE[:12]]


def candidate(gain: float) -> list[float]:
    return [2 * (1 - gain + e) for e in NOISE[12:]]


def test_a_gain_of_ten_noises_is_kept_in_every_order_with_few_seeds():
    found = replay_orders(BASELINE, candidate(0.05), RULE, orders=50, baseline_seeds=3)
    assert found.keeps == found.orders == 50
    assert 4 * 50 <= found.trials <= 6 * 50


def test_losses_below_0_as_of_an_accuracy_are_compared_by_their_size():
    found = replay_orders(
        [b - 5 for b in BASELINE], [c - 5 for c in candidate(0.05)], RULE, orders=50, baseline_seeds=3
    )
    assert found.keeps == 50


def test_a_loss_is_screened_out_with_one_seed():
    found = replay_orders(BASELINE, candidate(-0.05), RULE, orders=50, baseline_seeds=3)
    assert (found.keeps, found.trials) == (0, 50)


def test_an_order_that_runs_out_of_seeds_is_no_keep():
    found = replay_orders(BASELINE[:3], candidate(0.05)[:3], RULE, orders=10, baseline_seeds=3)
    assert (found.keeps, found.trials) == (0, 30)


def test_the_same_seed_gives_the_same_orders():
    one, same = (replay_orders(BASELINE, candidate(0.01), RULE, orders=20, baseline_seeds=3, seed=5) for _ in range(2))
    assert one == same


@pytest.mark.parametrize("values", [([], []), ([1.0], [1.0, 2.0])])
def test_unpaired_trials_are_refused(values):
    with pytest.raises(ValueError, match="trials of the baseline"):
        replay_orders(*values, RULE, orders=1, baseline_seeds=3)
