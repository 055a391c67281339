"""The ``Trial`` port: one measurement, repeatable, that can be suspended, resumed and ended by the user."""

from __future__ import annotations

from typing import Any

import pytest

from autoresearch.core.measurement import CURVE_POINTS, Measurement, Suspended
from autoresearch.core.ports import Interrupted, SuspendControl, Trial
from autoresearch.core.stopped_trial import EarlyStop
from autoresearch.core.values import Cfg
from autoresearch.testing.switch import Switch


def ignore(*_progress: object) -> None:
    """The callback of a test that does not look at the progress."""


class OnceItTrains:
    """Requests a suspension as soon as the trial reports progress."""

    def __init__(self) -> None:
        self.trains = False

    def __call__(self) -> bool:
        return self.trains

    def on_progress(self, *_progress: object) -> None:
        self.trains = True


class TrialContract:
    """For every implementation of ``autoresearch.core.ports.Trial``."""

    suspends = False  # whether it can be suspended: ``SuspendableTrialContract``

    @pytest.fixture
    def trial(self) -> Any:
        """A trial that is ended early while the switch of ``abort`` is on."""
        raise NotImplementedError

    @pytest.fixture
    def abort(self) -> Any:
        """The ``Switch`` with which the user ends what runs."""
        raise NotImplementedError

    @pytest.fixture
    def cfg(self) -> Any:
        """A configuration that is measured in a moment."""
        raise NotImplementedError

    @pytest.fixture
    def long_cfg(self) -> Any:
        """A configuration that reports progress several times before it is measured."""
        raise NotImplementedError

    def measured(self, trial: Trial, cfg: Cfg, seed: int = 0, before: Suspended | None = None) -> Measurement:
        """The measurement of ``cfg``, of which nothing else may become."""
        outcome = trial.measure(cfg, seed, ignore, SuspendControl(suspended_at=before))
        assert isinstance(outcome, Measurement)
        return outcome

    def test_the_same_configuration_and_seed_measure_the_same(self, trial: Trial, cfg: Cfg) -> None:
        first, other, again = (self.measured(trial, cfg, seed).value for seed in (0, 1, 0))
        assert first == again != other

    def test_another_configuration_measures_something_else(self, trial: Trial, cfg: Cfg) -> None:
        one, two = (self.measured(trial, {**cfg, "lr": lr}).value for lr in (1e-3, 1e-4))
        assert one != two

    def test_what_is_not_known_is_null_and_times_are_not_negative(self, trial: Trial, cfg: Cfg) -> None:
        outcome = self.measured(trial, cfg)
        assert outcome.energy_j is None
        assert min(outcome.train_wall_s, outcome.val_wall_s, outcome.trial_wall_s) >= 0
        assert outcome.trial_wall_s >= outcome.train_wall_s + outcome.val_wall_s

    def test_ended_by_the_user_it_is_neither_measured_nor_failed(
        self, trial: Trial, cfg: Cfg, long_cfg: Cfg, abort: Switch
    ) -> None:
        abort.on = True
        with pytest.raises(Interrupted):
            trial.measure(long_cfg, 0, ignore)
        abort.on = False
        self.measured(trial, cfg)  # the next one is normal

    def test_limits_that_it_keeps_change_nothing(self, trial: Trial, cfg: Cfg) -> None:
        outcome = trial.measure(cfg, 0, ignore, limits=(1e6,) * 28)
        assert isinstance(outcome, Measurement)
        assert outcome.value.hex() == self.measured(trial, cfg).value.hex()

    def test_one_that_cannot_suspend_runs_to_its_end(self, trial: Trial, cfg: Cfg) -> None:
        """A pause and a stop then wait for it."""
        outcome = trial.measure(cfg, 0, ignore, SuspendControl(lambda: not self.suspends))
        assert isinstance(outcome, Measurement)
        assert outcome.value.hex() == self.measured(trial, cfg).value.hex()


class SuspendableTrialContract(TrialContract):
    """For a trial that can be suspended inside its training and stopped early by its loss, beside the contract of all.

    A trial of a user's command is neither: a pause and a stop wait for its end.
    """

    suspends = True

    def suspended(self, trial: Trial, cfg: Cfg, before: Suspended | None = None) -> Suspended:
        """``cfg``, suspended as soon as it trains."""
        wanted = OnceItTrains()
        outcome = trial.measure(cfg, 0, wanted.on_progress, SuspendControl(wanted, before))
        assert isinstance(outcome, Suspended)
        return outcome

    def test_suspended_resumed_and_ended_in_between_it_measures_the_same(
        self, trial: Trial, long_cfg: Cfg, abort: Switch
    ) -> None:
        """Ended by the user after it was resumed, it resumes once more from where it was suspended."""
        whole = self.measured(trial, long_cfg)
        before: Suspended | None = None
        steps = []
        for _ in range(2):
            before = self.suspended(trial, long_cfg, before)
            assert (before.resumes_at, before.problem) == (before.step, "")
            steps.append(before.step)
        assert before is not None
        assert steps == sorted(steps)
        abort.on = True
        with pytest.raises(Interrupted):
            trial.measure(long_cfg, 0, ignore, SuspendControl(suspended_at=before))
        abort.on = False
        end = self.measured(trial, long_cfg, before=before)
        assert end.value.hex() == whole.value.hex()
        assert end.train_steps == whole.train_steps
        assert end.trial_wall_s >= before.trial_wall_s

    def test_what_it_seals_is_one_value_whether_it_is_suspended_or_not(self, trial: Trial, long_cfg: Cfg) -> None:
        def sealed(control: SuspendControl) -> list[float]:
            values: list[float] = []
            trial.measure(long_cfg, 0, wanted.on_progress, control, values.append)
            return values

        wanted = OnceItTrains()
        whole = sealed(SuspendControl())
        assert len(whole) <= 1, "a trial without a vault seals nothing"
        assert sealed(SuspendControl(wanted)) == [], "nor does one that is suspended"
        assert sealed(SuspendControl(suspended_at=self.suspended(trial, long_cfg))) == whole

    def test_a_trial_that_starts_ignores_the_checkpoint_of_an_earlier_one(self, trial: Trial, long_cfg: Cfg) -> None:
        """The record of a suspended trial may have been lost with the daemon."""
        self.suspended(trial, long_cfg)
        steps: list[int] = []
        outcome = trial.measure(long_cfg, 0, lambda _phase, _fraction, step, _speed: steps.append(step))
        assert isinstance(outcome, Measurement)
        assert steps[0] == 0

    def stopped(self, trial: Trial, cfg: Cfg, suspend: SuspendControl | None = None, on_progress: Any = ignore) -> Any:
        """``cfg``, whose loss at three quarters of the budget is above a limit that no loss can reach."""
        sealed: list[float] = []
        limits = (*[None] * (3 * CURVE_POINTS // 4 - 1), 1e-3)
        outcome = trial.measure(cfg, 0, on_progress, suspend or SuspendControl(), sealed.append, limits)
        assert sealed == [], "a trial that is stopped early is not scored"
        return outcome

    def test_above_its_limit_it_ends_early_with_the_losses_so_far(self, trial: Trial, cfg: Cfg) -> None:
        stop = self.stopped(trial, cfg)
        assert isinstance(stop, EarlyStop)
        point = stop.stopped_early
        assert (point.fraction, point.limit) == (0.75, 1e-3)
        assert len(stop.train_loss_curve) == 24
        assert point.loss == stop.train_loss_curve[-1] > point.limit
        assert 0 < stop.train_steps <= (self.measured(trial, cfg).train_steps or 0)
        assert stop.trial_wall_s >= stop.train_wall_s >= 0
        assert stop.energy_j is None
        again = self.stopped(trial, cfg)
        assert (again.stopped_early, again.train_loss_curve) == (point, stop.train_loss_curve)

    def test_suspended_and_resumed_it_is_stopped_at_the_same_place(self, trial: Trial, long_cfg: Cfg) -> None:
        """A trial of few steps may be over its limit before it sees the request."""
        whole, wanted = self.stopped(trial, long_cfg), OnceItTrains()
        end = self.stopped(trial, long_cfg, SuspendControl(wanted), wanted.on_progress)
        if isinstance(end, Suspended):
            end = self.stopped(trial, long_cfg, SuspendControl(suspended_at=end))
        assert isinstance(end, EarlyStop)
        assert (end.stopped_early, end.train_loss_curve) == (whole.stopped_early, whole.train_loss_curve)
        assert end.train_steps == whole.train_steps
