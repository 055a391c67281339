"""The ``Meter`` port: it counts each stretch of time once, under its phase, and nothing that it does raises."""

from __future__ import annotations

from typing import Any

import pytest

from autoresearch.core.ports import Meter
from autoresearch.core.power import PHASES, TRIAL_PHASES, Phase, Power

TRIAL: tuple[tuple[Phase, float], ...] = (("start", 2.0), ("train", 30.0), ("validate", 4.0))


class MeterContract:
    """For every implementation of ``autoresearch.core.ports.Meter``."""

    @pytest.fixture
    def meter(self) -> Any:
        """A meter that has just begun."""
        raise NotImplementedError

    def spend(self, meter: Any, phase: Phase, seconds: float) -> None:
        """Enter ``phase`` and let ``seconds`` pass in it, polling ten times a second as the daemon does."""
        raise NotImplementedError

    def run_trial(self, meter: Meter) -> float:
        """Spend one trial; its seconds."""
        for phase, seconds in TRIAL:
            self.spend(meter, phase, seconds)
        meter.phase("idle")
        return sum(seconds for _, seconds in TRIAL)

    def test_a_settled_trial_has_figures_of_its_own_phases_only(self, meter: Meter) -> None:
        self.spend(meter, "propose", 5.0)
        self.run_trial(meter)
        assert set(meter.settle(TRIAL_PHASES)) <= set(TRIAL_PHASES)

    def test_the_phases_add_up_to_no_more_than_the_time_that_passed(self, meter: Meter) -> None:
        seconds = self.run_trial(meter)
        settled = meter.settle(TRIAL_PHASES)
        assert sum(power.span_s for power in settled.values()) <= seconds + 1e-6
        for phase, spent_s in TRIAL:
            assert phase not in settled or settled[phase].span_s == pytest.approx(spent_s)

    def test_what_was_settled_is_not_settled_again(self, meter: Meter) -> None:
        self.run_trial(meter)
        meter.settle(TRIAL_PHASES)
        again = meter.settle(TRIAL_PHASES)
        assert sum(power.span_s for power in again.values()) == 0
        assert all(not power.energy_j for power in again.values())

    def test_a_second_trial_is_counted_for_itself(self, meter: Meter) -> None:
        self.run_trial(meter)
        first = meter.settle(TRIAL_PHASES)
        self.run_trial(meter)
        second = meter.settle(TRIAL_PHASES)
        assert set(second) == set(first)
        for phase in first:
            assert second[phase].span_s == pytest.approx(first[phase].span_s)

    def test_figures_are_consistent(self, meter: Meter) -> None:
        """One scope, a mean that is the joules over the covered seconds, and no peak below the mean."""
        self.run_trial(meter)
        settled = meter.settle(TRIAL_PHASES)
        assert len({power.scope for power in settled.values()}) <= 1
        for power in settled.values():
            assert_consistent(power)

    def test_a_meter_of_which_nothing_is_asked_yet_raises_nothing(self, meter: Meter) -> None:
        for _ in range(3):
            meter.poll()
        assert isinstance(meter.settle(), dict)
        assert meter.settle(()) == {}

    def test_phases_may_come_in_any_order_and_repeat(self, meter: Meter) -> None:
        for phase in (*PHASES, *reversed(PHASES), "train", "train", "idle"):
            meter.phase(phase)
            meter.poll()
        assert set(meter.settle()) <= set(PHASES)


def assert_consistent(power: Power) -> None:
    """What one phase took must not contradict itself."""
    if power.energy_j is None:
        assert power.mean_w is None
        return
    assert power.coverage > 0
    if power.mean_w is not None:
        assert power.mean_w * power.span_s * power.coverage == pytest.approx(power.energy_j)
        assert power.peak_w is None or power.peak_w >= power.mean_w * (1 - 1e-9)
