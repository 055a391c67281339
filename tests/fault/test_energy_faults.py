"""Faults of sensors during a long run: counters that reset or stall, gaps, a machine in suspend."""

from __future__ import annotations

import pytest

from autoresearch.energy.integrate import integrate
from autoresearch.energy.sample import Sample

WATTS = 100.0


def seconds(n: int, *, power: bool = True, counter: bool = True, first_t: float = 0.0) -> list[Sample]:
    """``n`` samples a second apart of a device that takes 100 W."""
    return [
        Sample(
            first_t + t,
            power_w=WATTS if power else None,
            counter_j=1000.0 + WATTS * (first_t + t) if counter else None,
        )
        for t in range(n)
    ]


def with_counter(samples: list[Sample], *joules: float) -> list[Sample]:
    return [Sample(s.t, s.power_w, j) for s, j in zip(samples, joules, strict=True)]


class TestReset:
    """The driver was reloaded, or a counter of few bits wrapped: it decreases."""

    def test_the_power_stands_in_for_the_one_interval(self) -> None:
        samples = with_counter(seconds(5), 1000, 1100, 0, 100, 200)
        total = integrate(samples)
        assert (total.energy_j, total.coverage, total.gaps) == (400.0, 1.0, 0)

    def test_without_a_power_that_interval_is_not_known(self) -> None:
        samples = with_counter(seconds(5, power=False), 1000, 1100, 0, 100, 200)
        total = integrate(samples)
        assert (total.energy_j, total.coverage, total.gaps) == (300.0, 0.75, 1)

    def test_an_implausible_rise_is_not_counted_either(self) -> None:
        samples = with_counter(seconds(4), 1000, 1100, 1e12, 1e12 + 100)
        assert integrate(samples).energy_j == 300.0


class TestStall:
    """The counter stands still while the device takes power."""

    def test_the_power_stands_in_until_it_moves(self) -> None:
        samples = with_counter(seconds(7), 1000, 1100, 1100, 1100, 1100, 1200, 1300)
        total = integrate(samples)
        assert (total.energy_j, total.coverage) == (600.0, 1.0)

    def test_the_energy_of_the_stall_is_not_counted_twice(self) -> None:
        samples = with_counter(seconds(7), 1000, 1100, 1100, 1100, 1100, 1500, 1600)
        assert integrate(samples).energy_j == 600.0

    def test_without_a_power_its_time_is_not_covered(self) -> None:
        samples = with_counter(seconds(7, power=False), 1000, 1100, 1100, 1100, 1100, 1500, 1600)
        total = integrate(samples)
        assert total.energy_j == 200.0
        assert total.coverage == pytest.approx(2 / 6)
        assert total.mean_w == 100.0, "over the seconds that are covered"

    def test_two_samples_within_one_step_of_the_counter_are_not_a_stall(self) -> None:
        samples = [Sample(0.0, counter_j=0.0), Sample(1.0, counter_j=100.0), Sample(1.05, counter_j=100.0)]
        samples.append(Sample(2.0, counter_j=200.0))
        total = integrate(samples)
        assert (total.energy_j, total.coverage) == (200.0, 1.0)


class TestGap:
    """A time without samples: the daemon was stopped, the machine was too busy, the sensor did not answer."""

    def test_a_trapezoid_does_not_bridge_it(self) -> None:
        samples = seconds(5, counter=False) + seconds(5, counter=False, first_t=64.0)
        total = integrate(samples)
        assert (total.energy_j, total.covered_s, total.span_s, total.gaps) == (800.0, 8.0, 68.0, 1)
        assert total.mean_w == WATTS

    def test_a_counter_continues_to_count(self) -> None:
        total = integrate(seconds(5) + seconds(5, first_t=64.0))
        assert (total.energy_j, total.coverage) == (6800.0, 1.0)

    def test_a_sensor_that_does_not_answer_for_a_moment_leaves_no_gap(self) -> None:
        samples = [*seconds(3, counter=False), Sample(3.0), Sample(4.0), *seconds(3, counter=False, first_t=5.0)]
        assert integrate(samples).energy_j == 700.0


class TestSuspend:
    """The lid was closed: CLOCK_BOOTTIME advanced, CLOCK_MONOTONIC did not."""

    @pytest.mark.parametrize("counter", [True, False])
    def test_no_joule_and_no_second_of_the_suspend_counts(self, counter: bool) -> None:
        awake = seconds(5, counter=counter)
        later = [
            Sample(s.t, s.power_w, s.counter_j, suspended_s=3600.0) for s in seconds(5, counter=counter, first_t=5.0)
        ]
        total = integrate(awake + later)
        assert (total.energy_j, total.span_s, total.gaps) == (800.0, 9.0, 1)
        assert total.coverage == pytest.approx(8 / 9), "the interval with the suspend has no known energy"

    def test_a_reset_during_the_suspend_is_not_bridged(self) -> None:
        asleep = [Sample(2.0, WATTS, 5.0, suspended_s=60.0), Sample(3.0, WATTS, 105.0, suspended_s=60.0)]
        assert integrate([*seconds(2), *asleep]).energy_j == 200.0

    def test_jitter_between_the_two_clocks_is_not_a_suspend(self) -> None:
        samples = [Sample(float(t), power_w=WATTS, suspended_s=0.001 * (t % 2)) for t in range(5)]
        assert integrate(samples).coverage == 1.0
