"""The rule of early stopping: what it learns, when it stops, and whom it spares."""

from __future__ import annotations

import random

import pytest

from autoresearch.verdicts.curves import POINTS
from autoresearch.verdicts.early_stop import Curve, StopRule, forecast, is_audited, learn

NEEDED = 0.005
RULE = StopRule()


def curve(rng: random.Random, gain: float, kind: str = "lr", behind: float = 0.0) -> Curve:
    """A curve that is noisy, less so near its end; ``behind``: how much worse it starts than it ends."""
    gaps = [gain + rng.gauss(0, 0.004) * (1 - k / 33) - behind * (1 - k / 32) ** 2 for k in range(1, POINTS + 1)]
    return Curve(tuple(gaps), gain, kind)


def past(n: int, kind: str = "lr", behind: float = 0.0, seed: int = 1) -> list[Curve]:
    rng = random.Random(seed)
    return [curve(rng, rng.gauss(-0.005, 0.01), kind, behind) for _ in range(n)]


def stopped_at(curves: list[Curve], trial: Curve, warmup_frac: float = 0.0) -> float:
    learned = learn(curves, NEEDED, RULE)
    assert learned is not None
    for k in range(1, POINTS):
        view = forecast(learned, trial.gaps[:k], trial.kind, warmup_frac)
        if view.stop:
            assert view.why == ""
            assert view.p <= RULE.tolerated
            return view.fraction
    return 1.0


def test_it_is_off_until_there_are_enough_curves():
    assert learn(past(29), NEEDED, RULE) is None
    assert learn(past(30), NEEDED, RULE) is not None


def test_a_far_loser_is_stopped_early_and_a_keep_never():
    rng = random.Random(7)
    assert stopped_at(past(120), curve(rng, -0.1)) <= 0.25
    assert all(stopped_at(past(120), curve(rng, NEEDED + 0.002)) == 1.0 for _ in range(50))


@pytest.mark.slow
def test_of_the_trials_that_end_exactly_at_the_threshold_at_most_one_in_a_hundred_or_so_is_stopped():
    rng = random.Random(3)
    lost = 0
    for seed in range(20):  # twenty histories, so that none of them decides alone
        learned = learn(past(150, seed=seed), NEEDED, RULE)
        assert learned is not None
        for _ in range(50):
            trial = curve(rng, NEEDED)
            lost += any(forecast(learned, trial.gaps[:k], "lr").stop for k in range(1, POINTS))
    assert lost <= 25  # 1% of 1,000 is 10; three standard deviations and the choice of the histories above it


def test_nothing_is_decided_before_the_own_warmup_and_an_eighth_are_over():
    loser = curve(random.Random(7), -0.2)
    assert stopped_at(past(120), loser) == pytest.approx(0.125)
    assert stopped_at(past(120), loser, warmup_frac=0.4) == pytest.approx(17 / 32)
    learned = learn(past(120), NEEDED, RULE)
    assert learned is not None
    assert forecast(learned, loser.gaps[:5], "lr", warmup_frac=0.4).why == "warming up"


def test_a_new_knob_is_compared_with_knobs_and_not_with_curves():
    """Nine others are too few; with twelve a far loser is stopped, and what is only behind other curves is not."""
    loser = curve(random.Random(7), -0.2, kind="lr_warmup")
    assert stopped_at(past(120), loser) == 1.0
    assert stopped_at([*past(120), *past(3, "lr_warmup")], loser) < 0.3
    of_knobs = [c for n in range(12) for c in past(10, f"knob {n}", behind=0.004 * (n % 4), seed=n)]
    assert stopped_at([c for c in of_knobs if c.kind not in ("knob 1", "knob 2", "knob 3")], loser) == 1.0
    assert stopped_at(of_knobs, loser) < 0.3
    slow = [curve(random.Random(n), NEEDED + 0.002, "lr_warmup", behind=0.016) for n in range(40)]
    assert sum(stopped_at(of_knobs, trial) < 1 for trial in slow) <= 1


def test_a_slow_starter_is_spared_by_the_curves_of_its_knob():
    """A long warmup falls 3% behind and recovers. Curves of other knobs alone would condemn it."""
    rng = random.Random(11)
    slow = [curve(rng, NEEDED + 0.002, "lr_warmup", behind=0.03) for _ in range(50)]
    others = past(120)
    unaware = [*others, *past(5, "lr_warmup")]
    aware = [*others, *past(5, "lr_warmup", behind=0.03)]
    assert sum(stopped_at(unaware, trial) < 1 for trial in slow) > 25
    assert sum(stopped_at(aware, trial) < 1 for trial in slow) == 0
    assert stopped_at(aware, curve(rng, -0.2, "lr")) < 0.3  # other knobs are stopped as before


def test_curves_that_are_all_the_same_do_not_make_it_certain():
    """Knobs that change nothing: spread 0. A gap of a tenth of the threshold must not count as far behind."""
    nothing = [Curve((0.0,) * POINTS, 0.0, "grad_clip") for _ in range(60)]
    trial = Curve((-NEEDED / 20,) * POINTS, NEEDED, "grad_clip")
    learned = learn(nothing, 0.0001, RULE)
    assert learned is not None
    assert learned.lines[10] is not None
    assert learned.lines[10].s > 0
    assert 0 < forecast(learned, trial.gaps[:16], "grad_clip").p <= 1


def test_the_predicted_gain_is_that_of_earlier_curves_with_this_gap():
    learned = learn(past(120), NEEDED, RULE)
    assert learned is not None
    predicted = forecast(learned, curve(random.Random(7), -0.02).gaps[:24], "lr").predicted
    assert predicted == pytest.approx(-0.02, abs=0.006)


def test_the_audit_depends_on_run_and_trial_alone():
    drawn = [is_audited("a run", n, RULE) for n in range(4000)]
    assert drawn == [is_audited("a run", n, RULE) for n in range(4000)]
    assert drawn != [is_audited("another", n, RULE) for n in range(4000)]
    assert sum(drawn) / 4000 == pytest.approx(0.05, abs=0.012)


def test_a_lower_tolerance_counts_in_more_curves():
    assert StopRule(tolerated=0.01).near_curves == 99
    assert StopRule(tolerated=0.002).near_curves == 499
    assert StopRule(tolerated=0.2).near_curves == 30
