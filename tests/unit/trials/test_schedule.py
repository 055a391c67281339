"""Linear warmup, then cosine to zero, under each kind of budget."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.trials.schedule import LrSchedule
from autoresearch.trials.spec import Budget


def factors(steps: int, warmup: int) -> list[float]:
    schedule = LrSchedule(Budget(kind="steps", size=steps), steps, warmup)
    found = [schedule.lr_factor()]
    while schedule.advance():
        found.append(schedule.lr_factor())
    return found


def test_the_origin_schedule() -> None:
    """60 steps, warmup 5: 1/5 ... 5/5, then half a cosine that ends just above zero."""
    found = factors(60, 5)
    assert len(found) == 60
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    by_hand = [0.5 * (1 + math.cos(math.pi * (s - 5) / 55)) for s in range(5, 60)]
    assert found[5:] == pytest.approx(by_hand)
    assert 0 < found[-1] < 0.01


@pytest.mark.parametrize("kind", ["steps", "seconds"])
@pytest.mark.parametrize("cut", [0, 1, 4, 5, 6, 30])
def test_a_resumed_schedule_has_the_rates_of_an_uninterrupted_one(kind: str, cut: int) -> None:
    """A step takes a quarter of a second; the hour between the parts does not count against the budget."""
    now = 1000.0

    def part(**before: float) -> LrSchedule:
        budget = Budget(kind=kind, size=60 if kind == "steps" else 15.0)
        return LrSchedule(budget, 60 if kind == "steps" else None, 5, clock=lambda: now, **before)

    def train(schedule: LrSchedule, steps: int) -> list[float]:
        nonlocal now
        found = []
        for _ in range(steps):
            found.append(schedule.lr_factor())
            now += 0.25
            if not schedule.advance():
                break
        return found

    whole = train(part(), 100)
    first = part()
    rates = train(first, cut)
    now += 3600.0
    second = part(step=first.step, spent_s=0.25 * cut, warm_fraction=first.warm_fraction)
    assert rates + train(second, 100) == whole
    assert len(whole) == 60


@given(steps=st.integers(1, 300), warmup=st.integers(0, 400))
def test_it_rises_to_the_peak_and_falls_from_it(steps: int, warmup: int) -> None:
    found = factors(steps, warmup)
    assert len(found) == steps
    assert all(0 <= f <= 1 for f in found)
    assert found[:warmup] == sorted(found[:warmup])
    assert found[warmup:] == sorted(found[warmup:], reverse=True)


@pytest.mark.parametrize(("size", "batch", "seq", "steps"), [(1000, 2, 100, 5), (1001, 2, 100, 6), (1, 16, 1024, 1)])
def test_a_budget_in_tokens_is_rounded_up_to_whole_steps(size: int, batch: int, seq: int, steps: int) -> None:
    assert Budget(kind="tokens", size=size).steps(batch, seq) == steps


def test_a_budget_in_seconds_ends_with_the_clock_and_decays_by_it() -> None:
    now = 100.0
    schedule = LrSchedule(Budget(kind="seconds", size=10), None, 2, clock=lambda: now)
    seen = []
    while True:
        seen.append(schedule.lr_factor())
        now += 1.0
        if not schedule.advance():
            break
    assert len(seen) == 10
    assert seen[:2] == [0.5, 1.0]
    assert seen[2] == 1.0
    assert seen[2:] == sorted(seen[2:], reverse=True)
    assert seen[6] == pytest.approx(0.5)  # half of the eight seconds after the warmup


def test_a_slow_first_step_beyond_the_budget_still_counts_as_one() -> None:
    times = iter([0.0, 99.0, 99.0])
    schedule = LrSchedule(Budget(kind="seconds", size=10), None, 0, clock=lambda: next(times))
    assert schedule.lr_factor() == 1.0
    assert not schedule.advance()
    assert schedule.step == 1
