"""The limits of a running trial: the judgement of ``forecast``, given before the trial starts."""

from __future__ import annotations

import random

import pytest

from autoresearch.verdicts.curves import POINTS
from autoresearch.verdicts.early_stop import Curve, StopRule, forecast, learn
from autoresearch.verdicts.stop_limits import critical_peak, first_above, stop_limits

NEEDED = 0.004
BASELINE = [8.0 - 0.1 * k for k in range(POINTS)]


def curve(rng: random.Random, gain: float, kind: str) -> Curve:
    behind = {"lr": 0.0, "lr_warmup": 0.03}.get(kind, 0.01)
    gaps = [gain + rng.gauss(0, 0.004) * (1 - k / 33) - behind * (1 - k / 32) ** 2 for k in range(1, POINTS + 1)]
    return Curve(tuple(gaps), gain, kind)


def past(seed: int, count: int) -> list[Curve]:
    rng = random.Random(seed)
    kinds = ["lr", "lr_warmup", *(f"knob {n}" for n in range(10))]
    return [curve(rng, rng.gauss(-0.005, 0.01), rng.choice(kinds)) for _ in range(count)]


def losses(trial: Curve) -> list[float]:
    return [b * (1 - gap) for b, gap in zip(BASELINE, trial.gaps, strict=True) if gap is not None]


@pytest.mark.parametrize("count", [40, 150, 400])
@pytest.mark.parametrize("warmup_frac", [0.0, 0.3])
def test_a_trial_is_stopped_at_its_first_loss_above_the_limit_as_the_forecast_would(count, warmup_frac):
    rng = random.Random(count)
    learned = learn(past(count, count), NEEDED, StopRule())
    assert learned is not None
    stops = 0
    for _ in range(150):
        trial = curve(rng, rng.gauss(-0.02, 0.03), rng.choice(["lr", "lr_warmup", "knob 3", "a new one"]))
        seen = (forecast(learned, trial.gaps[:k], trial.kind, warmup_frac) for k in range(1, POINTS))
        expected = next((k for k, view in enumerate(seen) if view.stop), None)
        assert first_above(losses(trial), stop_limits(learned, BASELINE, trial.kind, warmup_frac)) == expected
        stops += expected is not None
    assert 30 < stops < 150


def test_there_is_no_limit_while_it_warms_up_nor_in_the_last_part():
    learned = learn(past(1, 150), NEEDED, StopRule())
    assert learned is not None
    limits = stop_limits(learned, BASELINE, "lr", warmup_frac=0.4)
    assert [n for n, limit in enumerate(limits) if limit is not None] == list(range(16, 28))
    assert len(limits) == 28


def test_a_new_knob_among_few_knobs_has_no_limits():
    rng = random.Random(1)
    learned = learn([curve(rng, rng.gauss(-0.005, 0.01), "lr") for _ in range(150)], NEEDED, StopRule())
    assert learned is not None
    assert critical_peak(learned, "a new one") is None
    assert stop_limits(learned, BASELINE, "a new one") == ()
    assert stop_limits(learned, BASELINE, "lr")


def test_a_knob_that_starts_slowly_gets_higher_limits():
    learned = learn(past(1, 400), NEEDED, StopRule())
    assert learned is not None
    slow, fast = (stop_limits(learned, BASELINE, kind) for kind in ("lr_warmup", "lr"))
    assert all(s > f for s, f in zip(slow, fast, strict=True) if s is not None and f is not None)


def test_equal_curves_give_finite_limits():
    same = [Curve((0.0,) * POINTS, 0.0, "lr")] * 40
    learned = learn(same, NEEDED, StopRule())
    assert learned is not None
    assert stop_limits(learned, BASELINE, "lr") == ()  # no spread, so that nothing is known of the tail


@pytest.mark.parametrize("behind", [0.03, 0.05])
def test_of_slow_starters_that_end_as_keeps_a_run_loses_none(behind):
    """By the curves of other knobs alone most of them would be stopped."""
    lost = without_care = losers = 0
    for seed in range(6):
        rng = random.Random(seed)
        known = [curve(rng, rng.gauss(-0.01, 0.015), f"knob {n % 12} up") for n in range(120)]
        slow = [starts_slowly(rng, rng.gauss(-0.005, 0.01), behind) for _ in range(2)]
        ordinary = learn(known, NEEDED, StopRule.of_run(0.01, 30, 0.05))
        learned = learn([*known, *slow], NEEDED, StopRule.of_run(0.01, 30, 0.05))
        assert ordinary is not None
        assert learned is not None
        assert stop_limits(ordinary, BASELINE, "lr down", 0.2) == (), "the first of its kind"
        fair, unfair = stop_limits(learned, BASELINE, "lr down", 0.2), stop_limits(ordinary, BASELINE, "knob 1 up")
        for _ in range(40):
            keep = losses(starts_slowly(rng, NEEDED + abs(rng.gauss(0, 0.004)), behind))
            lost += first_above(keep, fair) is not None
            without_care += first_above(keep, unfair) is not None
            losers += first_above(losses(starts_slowly(rng, -0.05, behind)), fair) is not None
    assert (lost, losers) == (0, 240)
    assert without_care > 100


def starts_slowly(rng: random.Random, gain: float, behind: float) -> Curve:
    gaps = [gain + rng.gauss(0, 0.004) * (1 - k / 33) - behind * (1 - k / 32) ** 2 for k in range(1, POINTS + 1)]
    return Curve(tuple(gaps), gain, "lr down")
