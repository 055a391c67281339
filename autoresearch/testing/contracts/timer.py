"""The ``Timer`` port: how fast a configuration trains, or why not; it raises ``Interrupted`` only."""

from __future__ import annotations

from typing import Any

import pytest

from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.ports import Interrupted, Timer
from autoresearch.core.speeds import MatmulPeak, Speed, Timing
from autoresearch.core.values import Cfg
from autoresearch.testing.switch import Switch

TIMING = Timing(steps=3)


def ignore(*_progress: object) -> None:
    """The callback of a test that does not look at the progress."""


class TimerContract:
    """For every implementation of ``autoresearch.core.ports.Timer``."""

    @pytest.fixture
    def timer(self) -> Any:
        """A timer that is ended early while the switch of ``abort`` is on."""
        raise NotImplementedError

    @pytest.fixture
    def abort(self) -> Any:
        """The ``Switch`` with which the user ends what runs."""
        raise NotImplementedError

    @pytest.fixture
    def cfg(self) -> Any:
        """A configuration that can be timed in a moment."""
        raise NotImplementedError

    @pytest.fixture
    def impossible_cfg(self) -> Any:
        """A configuration that cannot be timed: it needs more memory than there is, for example."""
        raise NotImplementedError

    def test_a_configuration_that_trains_has_a_speed_over_the_steps_that_were_asked_for(
        self, timer: Timer, cfg: Cfg
    ) -> None:
        speed = timer.speed(cfg, TIMING, ignore)
        assert isinstance(speed, Speed)
        assert speed.steps == TIMING.steps
        tokens = int(cfg["batch_size"]) * int(cfg["seq_len"])
        assert speed.real_tokens_per_s * speed.real_step_ms == pytest.approx(1000 * tokens)
        assert speed.random_tokens_per_s * speed.random_step_ms == pytest.approx(1000 * tokens)
        assert speed.device

    def test_progress_is_a_phase_a_fraction_a_step_and_a_speed(self, timer: Timer, cfg: Cfg) -> None:
        seen: list[tuple[str, float, int, float | None]] = []
        timer.speed(cfg, TIMING, lambda *progress: seen.append(progress))
        assert seen
        for phase, fraction, step, tokens_per_s in seen:
            assert phase
            assert 0 <= fraction <= 1
            assert step >= 0
            assert tokens_per_s is None or tokens_per_s > 0

    def test_a_configuration_that_cannot_be_timed_is_a_failure_with_its_cause(
        self, timer: Timer, cfg: Cfg, impossible_cfg: Cfg
    ) -> None:
        failure = timer.speed(impossible_cfg, TIMING, ignore)
        assert isinstance(failure, Failure)
        assert failure.cause in Cause
        assert failure.detail
        assert isinstance(timer.speed(cfg, TIMING, ignore), Speed), "the next one is timed as usual"

    def test_the_peak_is_of_the_precision_of_the_configuration(self, timer: Timer, cfg: Cfg) -> None:
        peak = timer.matmul_peak(cfg)
        assert isinstance(peak, MatmulPeak)
        assert peak.flops_per_s > 0

    def test_ended_by_the_user_it_raises_interrupted_and_works_afterwards(
        self, timer: Timer, cfg: Cfg, abort: Switch
    ) -> None:
        abort.on = True
        for measure in (lambda: timer.speed(cfg, TIMING, ignore), lambda: timer.matmul_peak(cfg)):
            with pytest.raises(Interrupted):
                measure()
        abort.on = False
        assert isinstance(timer.speed(cfg, TIMING, ignore), Speed)
