"""When a trial's losses are compared with their limits: once each, on all ranks, and again after a resume."""

from __future__ import annotations

from dataclasses import dataclass, field

from autoresearch.core.measurement import CURVE_POINTS
from autoresearch.training.loss_curve import LossCurve
from autoresearch.training.stop_early import LimitWatch


@dataclass
class Ranks:
    """This process among several; ``others``: what they answer."""

    rank: int = 0
    others: bool = False
    asked: list[bool] = field(default_factory=list)

    def any_rank(self, flag: bool) -> bool:
        self.asked.append(flag)
        return flag or self.others


def curve_of(losses: list[float], steps: int, done: int = 0) -> LossCurve:
    curve = LossCurve(reached=done / steps)
    for n, loss in enumerate(losses, done + 1):
        curve.advance(n / steps)
        curve.add(loss)
    return curve


def test_a_part_is_due_once_when_it_is_over_and_has_a_limit() -> None:
    watch = LimitWatch.starting_at((None, None, 5.0, None, 5.0), 0.0)
    curve = curve_of([4.0] * 64, 64)
    due = []
    for step in range(1, 65):
        if watch.is_due(step / 64):
            due.append(step)
            assert watch.exceeded(step / 64, curve, Ranks()) is None
    assert due == [6, 10]


def test_the_first_loss_above_its_limit_is_found_and_an_equal_one_is_not() -> None:
    watch = LimitWatch.starting_at((5.0,) * 28, 0.0)
    curve = curve_of([5.0, 5.0, 5.1, 9.0], CURVE_POINTS)
    assert watch.exceeded(2 / CURVE_POINTS, curve, Ranks()) is None
    assert watch.exceeded(4 / CURVE_POINTS, curve, Ranks()) == 2, "one step may end several parts"


def test_a_step_that_spans_parts_is_compared_with_the_limit_of_each() -> None:
    watch = LimitWatch.starting_at((None, 4.0, 1.0), 0.0)
    curve = curve_of([3.0], 4)
    assert watch.is_due(0.25)
    assert watch.exceeded(0.25, curve, Ranks()) == 2


def test_rank_0_decides_for_all() -> None:
    limits, fraction = (None, 5.0), 2 / CURVE_POINTS
    slightly_above, slightly_below = (curve_of([loss] * 2, CURVE_POINTS) for loss in (5.00001, 4.99999))
    other = Ranks(rank=1)
    assert LimitWatch.starting_at(limits, 0.0).exceeded(fraction, slightly_above, other) is None
    assert other.asked == [False]
    ends_with_it = Ranks(rank=1, others=True)
    assert LimitWatch.starting_at(limits, 0.0).exceeded(fraction, slightly_below, ends_with_it) == 1


def test_parts_that_were_over_when_it_resumed_are_not_compared_again() -> None:
    watch = LimitWatch.starting_at((1.0, 1.0, 5.0), 2 / CURVE_POINTS)
    assert not watch.is_due(2 / CURVE_POINTS)
    assert watch.exceeded(3 / CURVE_POINTS, curve_of([4.0] * 3, CURVE_POINTS), Ranks()) is None


def test_a_checkpoint_without_the_losses_stops_nothing() -> None:
    watch = LimitWatch.starting_at((1.0,) * 28, 0.5)
    assert watch.exceeded(0.75, curve_of([9.0] * 8, CURVE_POINTS, done=16), Ranks()) is None
