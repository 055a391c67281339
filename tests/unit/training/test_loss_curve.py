"""The training loss in a fixed number of points, for any number of steps, late losses and a suspended trial."""

from __future__ import annotations

import pytest

from autoresearch.core.measurement import CURVE_POINTS
from autoresearch.training.loss_curve import LossCurve


def curve_of(losses: list[float], curve: LossCurve | None = None, of: int | None = None, done: int = 0) -> LossCurve:
    """The curve after these steps of ``of``, ``done`` of them before."""
    curve, steps = curve or LossCurve(), of or len(losses)
    for n, loss in enumerate(losses, done + 1):
        curve.advance(n / steps)
        curve.add(loss)
    return curve


@pytest.mark.parametrize("steps", [32, 64, 3200])
def test_each_point_is_the_mean_of_its_steps(steps: int) -> None:
    each = steps // CURVE_POINTS
    losses = [float(n) for n in range(steps)]
    means = tuple(sum(losses[k * each : (k + 1) * each]) / each for k in range(CURVE_POINTS))
    assert curve_of(losses).points() == pytest.approx(means)


@pytest.mark.parametrize("steps", [1, 3, 31, 33, 60, 1001])
def test_any_number_of_steps_gives_all_points_and_keeps_the_mean(steps: int) -> None:
    losses = [10.0 / (n + 1) for n in range(steps)]
    points = curve_of(losses).points()
    assert points is not None
    assert len(points) == CURVE_POINTS
    assert sum(points) / CURVE_POINTS == pytest.approx(sum(losses) / steps, abs=1e-5)
    assert points[0] >= points[-1]


def test_a_step_over_two_parts_counts_in_both() -> None:
    points = curve_of([6.0, 3.0, 0.0]).points()
    assert points is not None
    assert points[:10] == (6.0,) * 10
    assert points[10] == pytest.approx(6.0 * 2 / 3 + 3.0 / 3, abs=1e-5)  # step 1 ends at 10.67 of 32
    assert points[11:21] == (3.0,) * 10


def test_losses_may_arrive_late() -> None:
    losses = [9.0, 7.0, 5.0, 4.0, 3.0]
    late = LossCurve()
    for n in range(1, 6):
        late.advance(n / 5)
        if n > 2:
            late.add(losses[n - 3])
    assert late.points() is None
    for loss in losses[3:]:
        late.add(loss)
    assert late.points() == curve_of(losses).points()


@pytest.mark.parametrize("at", [1, 17, 44])
def test_a_suspended_trial_has_the_curve_of_an_undisturbed_one(at: int) -> None:
    losses = [1.0 / (n + 3) for n in range(45)]
    first = curve_of(losses[:at], of=45)
    second = LossCurve.resumed(at / 45, tuple(first.nats), tuple(first.shares))
    assert curve_of(losses[at:], second, 45, at).points() == curve_of(losses).points()


def test_a_checkpoint_without_the_sums_gives_no_curve() -> None:
    assert curve_of([1.0] * 20, LossCurve.resumed(0.5, (), ()), 40, 20).points() is None


def test_a_budget_in_seconds_has_unequal_steps() -> None:
    curve = LossCurve()
    for fraction, loss in ((0.5, 4.0), (0.75, 2.0), (1.0, 1.0), (1.0, 50.0)):  # the last took no share of the budget
        curve.advance(fraction)
        curve.add(loss)
    assert curve.points() == (4.0,) * 16 + (2.0,) * 8 + (1.0,) * 8
