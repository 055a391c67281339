"""What a loss curve says of a gain at equal FLOPs: by hand, on curves with a known law."""

import math

import pytest

from autoresearch.verdicts.equal_flops import fraction_of_equal_lr_sum, gain_at_equal_flops, loss_at

FLAT = [3.0] * 32
FALLING = [4.0 - (n + 0.5) / 32 for n in range(32)]  # from 4 to 3, a straight line


def test_a_loss_is_read_from_a_line_through_its_neighbours():
    for fraction in (0.25, 0.5, 0.77, 1.0):
        assert loss_at(FALLING, fraction) == pytest.approx(4 - fraction)
    noisy = [v + (0.1 if n % 2 else -0.1) for n, v in enumerate(FALLING)]
    assert loss_at(noisy, 0.5) == pytest.approx(3.5, abs=0.06)


def test_a_flat_curve_leaves_the_gain_as_it_is():
    for ratio in (0.5, 2.0, 4.0):
        assert gain_at_equal_flops(0.03, ratio, FLAT, 0.1) == pytest.approx((0.03, 0.03))


def test_a_candidate_of_twice_the_flops_is_read_at_half_of_its_run():
    """At the same FLOPs it had a loss of 3.5, at the same sum of learning rates one of more."""
    found = gain_at_equal_flops(0.05, 2.0, FALLING, 0.0)
    assert found is not None
    low, high = found
    assert high == pytest.approx(1 - 0.95 * 3.5 / 3)
    at = fraction_of_equal_lr_sum(0.5, 0.0)
    assert low == pytest.approx(1 - 0.95 * (4 - at) / 3)
    assert low < high < 0


def test_a_candidate_of_half_the_flops_is_compared_with_half_of_the_baselines_run():
    found = gain_at_equal_flops(-0.05, 0.5, FALLING, 0.0)
    assert found is not None
    low, high = found
    assert low == pytest.approx(1 - 1.05 * 3 / 3.5)
    assert high > low > 0


@pytest.mark.parametrize("ratio", [0.0, 0.2, 5.0])
def test_too_short_a_part_of_a_run_says_nothing(ratio):
    assert gain_at_equal_flops(0.05, ratio, FALLING, 0.1) is None


def test_a_curve_of_few_points_or_without_loss_says_nothing():
    assert gain_at_equal_flops(0.05, 2.0, FALLING[:5], 0.1) is None
    assert gain_at_equal_flops(0.05, 2.0, [0.0] * 32, 0.1) is None


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.27, 0.9, 1.0])
@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.8])
def test_the_learning_rates_add_up_to_those_of_the_shorter_run(warmup, fraction):
    """Summed over 100,000 steps of the schedule."""
    steps = 100_000
    warm = int(warmup * steps)
    rates = [
        (n + 1) / warm if n < warm else 0.5 * (1 + math.cos(math.pi * (n - warm) / max(steps - warm, 1)))
        for n in range(steps)
    ]
    at = fraction_of_equal_lr_sum(fraction, warmup)
    assert sum(rates[: round(at * steps)]) / steps == pytest.approx(fraction / 2, abs=1e-4)


def test_a_run_that_ends_at_its_end_is_read_there():
    assert fraction_of_equal_lr_sum(1.0, 0.2) == pytest.approx(1.0, abs=1e-3)
