"""A real gain: measured on both sides with the same seeds, resumed, judged by both rules."""

from __future__ import annotations

import pytest

from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.values import Cfg
from autoresearch.daemon.planted_trials import SEED_OFFSET, measure_real_gain
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import BaselineFailed, ConfigError
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver


def bpb(cfg: Cfg, seed: int) -> float:
    """The lr of profile tiny is 4% better than half of it; a seed moves both sides alike, and each by itself."""
    own = (seed * (7 if cfg["lr"] == 2e-3 else 11)) % 5 - 2
    return 2 * (1 - 0.04 * (cfg["lr"] == 2e-3)) + 0.004 * (seed % 3) + 0.0005 * own


@pytest.fixture
def measure(make_settings):
    def call(seeds=12, bad=None, **trial):
        fake = FakeTrial(**{"bpb": bpb, **trial})
        found = measure_real_gain(
            make_settings(),
            bad,
            seeds,
            RecordingObserver(),
            orders=100,
            seed=0,
            make_backend=lambda *_: TrialBackend(fake, YARDSTICK, None),
        )
        return found, [(cfg["lr"], seed) for cfg, seed in fake.measured]

    return call


def test_half_of_the_lr_is_the_baseline_and_the_profile_s_own_the_gain(measure):
    found, measured = measure()
    assert measured[:3] == [(1e-3, SEED_OFFSET), (2e-3, SEED_OFFSET), (1e-3, SEED_OFFSET + 1)]
    assert (found.knob, found.bad, found.good) == ("lr", 1e-3, 2e-3)
    assert found.mean_frac == pytest.approx(0.04, abs=0.002)
    assert found.interval_frac[0] < 0.04 < found.interval_frac[1]
    assert 0.8 < found.correlation < 1
    assert found.orders.keeps == found.orders.orders == 100
    assert found.threshold_keeps == 12


def test_the_same_call_continues(measure):
    measure(4)
    found, measured = measure(5)
    assert measured == [(1e-3, SEED_OFFSET + 4), (2e-3, SEED_OFFSET + 4)]
    assert len(found.gains_frac) == 5


@pytest.mark.parametrize(
    ("bad", "words"),
    [("speed=1", "is not a knob"), ("lr=5", "lr"), ("lr=2e-3", "profile's own value"), ("lr", "no '='")],
)
def test_a_bad_value_that_cannot_be_is_refused(measure, bad, words):
    with pytest.raises(ConfigError, match=words):
        measure(4, bad)


def test_a_side_that_fails_is_an_error_that_names_it(measure):
    nan = Failure(cause=Cause.NON_FINITE_LOSS, detail="the loss is NaN")
    with pytest.raises(BaselineFailed, match=f"lr = 0.02, seed {SEED_OFFSET}: the loss is NaN"):
        measure(4, "lr=0.02", fail=lambda cfg: nan if cfg["lr"] == 0.02 else None)
