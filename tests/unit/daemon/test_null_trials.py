"""Real null trials: the baseline with one seed after another, durable and resumable."""

from __future__ import annotations

import pytest

from autoresearch.core.measurement import Cause, Failure
from autoresearch.daemon.fresh_trials import decode_fresh_trials
from autoresearch.daemon.null_trials import NULL_TRIALS, SEED_OFFSET, measure_null_trials
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import BaselineFailed, JournalDamaged, LockHeld
from autoresearch.storage.run_dir import hold
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_timer import FakeTimer
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver


@pytest.fixture
def measure(make_settings):
    """Measures with a fake; returns the trials and the seeds that were trained."""

    def call(count, yardstick=YARDSTICK, **options):
        trial = FakeTrial(**options)
        backend = TrialBackend(trial, yardstick, None, timer=FakeTimer())
        found = measure_null_trials(make_settings(), count, RecordingObserver(), make_backend=lambda *_: backend)
        return found, [seed for _, seed in trial.measured]

    return call


def test_every_trial_is_the_baseline_with_a_seed_of_its_own(measure):
    trials, trained = measure(3)
    assert trained == [t.seed for t in trials] == [SEED_OFFSET, SEED_OFFSET + 1, SEED_OFFSET + 2]
    assert len({t.val_bpb for t in trials}) == 3


def test_the_same_command_continues_and_measures_nothing_twice(measure):
    first, _ = measure(2)
    more, trained = measure(5)
    assert more[:2] == first
    assert trained == [SEED_OFFSET + 2, SEED_OFFSET + 3, SEED_OFFSET + 4]
    assert measure(5) == (more, [])
    assert measure(2) == (first, [])


def test_trials_of_another_yardstick_do_not_count(measure):
    measure(2)
    other = YARDSTICK.model_copy(update={"threads": 2})
    trials, trained = measure(2, other)
    assert len(trained) == len(trials) == 2
    assert measure(2, other)[1] == measure(2)[1] == []


def test_a_trial_that_fails_is_an_error_and_those_before_it_stay(measure):
    measure(1)
    with pytest.raises(BaselineFailed, match="seed 1001 measured nothing: the loss is NaN"):
        measure(2, fail=lambda _: Failure(cause=Cause.NON_FINITE_LOSS, detail="the loss is NaN"))
    assert measure(1)[1] == []


def test_a_signal_ends_it_with_what_there_is(measure):
    trials, _ = measure(3, takes_s=0.01, aborted=lambda: True)
    assert trials == []


def test_a_damaged_log_is_named(measure, make_settings):
    measure(1)
    with (make_settings().run_dir / NULL_TRIALS).open("r+b") as file:
        file.write(b"garbage")
        file.seek(0, 2)
        file.write(b"more\n" * 3)
    with pytest.raises(JournalDamaged, match=NULL_TRIALS):
        measure(2)


def test_a_directory_that_a_daemon_uses_is_refused(measure, make_settings):
    with hold(make_settings().run_dir), pytest.raises(LockHeld):
        measure(1)


def test_each_keeps_its_loss_curve(measure):
    curve = tuple(5.0 - n / 10 for n in range(32))
    trials, _ = measure(2, curve=lambda _cfg, _seed: curve)
    assert [t.train_loss_curve for t in trials] == [curve, curve]
    assert 0 <= trials[0].warmup_frac <= 1
    assert measure(2)[0] == trials


def test_a_cache_of_an_earlier_version_has_none_and_stays_readable(measure, make_settings):
    (old,), _ = measure(1)
    payload = old.model_dump_json(exclude={"train_loss_curve", "warmup_frac"}).encode()
    (found,) = decode_fresh_trials(make_settings().run_dir / NULL_TRIALS, [payload])
    assert found == old.model_copy(update={"warmup_frac": 0.0})
    assert found.train_loss_curve is None
