"""The laws that integrating power and counters obeys, for every series of samples."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.energy.integrate import Integrator, integrate
from autoresearch.energy.sample import MAX_W, Sample

WATTS = st.floats(0, 1000)
STEPS = st.floats(0.01, 20)
MAYBE = st.none() | WATTS


@st.composite
def series(draw: st.DrawFn, watts: st.SearchStrategy[float | None] = WATTS) -> list[Sample]:
    """Samples with the power, at intervals some of which are gaps."""
    t, samples = 0.0, []
    for step, w in draw(st.lists(st.tuples(STEPS, watts), min_size=1, max_size=20)):
        t += step
        samples.append(Sample(t, power_w=w))
    return samples


@st.composite
def anything(draw: st.DrawFn) -> list[Sample]:
    """Samples of a broken sensor: any numbers, in any order of time."""
    number = st.none() | st.floats() | st.floats(-10, 1000)
    rows = draw(st.lists(st.tuples(st.floats(-5, 20), number, number, st.floats(0, 100)), max_size=20))
    t, samples = 0.0, []
    for step, power_w, counter_j, suspended_s in rows:
        t += step
        samples.append(Sample(t, power_w=power_w, counter_j=counter_j, suspended_s=suspended_s))
    return samples


def of_counter(*joules: float | None, step: float = 1.0) -> list[Sample]:
    return [Sample(n * step, counter_j=j) for n, j in enumerate(joules)]


class TestLaws:
    @given(series(), st.data())
    def test_adjacent_spans_add_up(self, samples: list[Sample], data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(samples) - 1))
        whole, first, second = integrate(samples), integrate(samples[: at + 1]), integrate(samples[at:])
        assert (first.energy_j or 0) + (second.energy_j or 0) == pytest.approx(whole.energy_j or 0)
        assert first.covered_s + second.covered_s == pytest.approx(whole.covered_s)
        assert first.span_s + second.span_s == pytest.approx(whole.span_s)
        assert first.gaps + second.gaps == whole.gaps

    @given(series(st.floats(0, 1000)), st.floats(0.01, 10))
    def test_twice_the_power_is_twice_the_energy(self, samples: list[Sample], factor: float) -> None:
        scaled = [Sample(s.t, power_w=(s.power_w or 0.0) * factor) for s in samples]
        one, other = integrate(samples), integrate(scaled)
        assert (other.energy_j is None) == (one.energy_j is None)
        assert (other.energy_j or 0.0) == pytest.approx((one.energy_j or 0.0) * factor)
        assert other.covered_s == one.covered_s

    @given(series(MAYBE), st.floats(0, 1e6))
    def test_a_shift_in_time_changes_nothing(self, samples: list[Sample], later: float) -> None:
        moved = [Sample(s.t + later, power_w=s.power_w) for s in samples]
        then, now = integrate(samples, math.inf).energy_j, integrate(moved, math.inf).energy_j
        assert (now is None) == (then is None)
        assert (now or 0.0) == pytest.approx(then or 0.0, rel=1e-3)

    @given(anything())
    def test_the_energy_is_never_negative_and_the_coverage_at_most_one(self, samples: list[Sample]) -> None:
        total = integrate(samples)
        assert total.energy_j is None or (total.energy_j >= 0 and math.isfinite(total.energy_j))
        assert 0 <= total.coverage <= 1
        assert total.covered_s <= total.span_s + 1e-9
        assert total.mean_w is None or total.mean_w >= 0
        assert total.peak_w is None or total.peak_w >= 0

    @given(series(MAYBE))
    def test_the_mean_lies_below_the_peak(self, samples: list[Sample]) -> None:
        total = integrate(samples)
        if total.mean_w is not None:
            assert total.peak_w is not None
            assert total.mean_w <= total.peak_w * (1 + 1e-9)

    @given(st.lists(st.floats(0, 1000), min_size=2, max_size=20))
    def test_a_counter_that_only_rises_is_counted_to_the_last_joule(self, steps: list[float]) -> None:
        joules = [sum(steps[:n]) + n for n in range(len(steps) + 1)]
        total = integrate(of_counter(*joules))
        assert total.energy_j == pytest.approx(joules[-1])
        assert total.coverage == 1


class TestShapes:
    def test_a_constant_power(self) -> None:
        total = integrate([Sample(float(t), power_w=50.0) for t in range(11)])
        assert (total.energy_j, total.mean_w, total.peak_w, total.coverage) == (500.0, 50.0, 50.0, 1.0)

    def test_a_ramp_is_exact(self) -> None:
        total = integrate([Sample(float(t), power_w=10.0 * t) for t in range(11)])
        assert (total.energy_j, total.peak_w) == (500.0, 100.0)

    def test_a_wave_at_one_hertz_is_within_a_per_cent(self) -> None:
        """200 W that swing by 150 W every 7 s, for ten minutes: the trapezoid against the closed form."""
        omega = 2 * math.pi / 7
        samples = [Sample(float(t), power_w=200 + 150 * math.sin(omega * t)) for t in range(601)]
        truth = 200 * 600 + 150 / omega * (1 - math.cos(omega * 600))
        assert integrate(samples).energy_j == pytest.approx(truth, rel=0.01)

    def test_the_counter_has_precedence_over_the_power(self) -> None:
        samples = [Sample(float(t), power_w=10.0, counter_j=300.0 * t) for t in range(3)]
        assert integrate(samples).energy_j == 600.0

    @pytest.mark.parametrize("samples", [[], [Sample(1.0, power_w=5.0)], [Sample(0.0), Sample(1.0)]])
    def test_what_is_not_known_is_none(self, samples: list[Sample]) -> None:
        total = integrate(samples)
        assert (total.energy_j, total.mean_w, total.peak_w, total.coverage) == (None, None, None, 0.0)

    @pytest.mark.parametrize("power_w", [-1.0, math.nan, math.inf, MAX_W + 1])
    def test_an_implausible_power_is_not_known(self, power_w: float) -> None:
        samples = [Sample(0.0, power_w=10.0), Sample(1.0, power_w=power_w), Sample(2.0, power_w=10.0)]
        assert integrate(samples).energy_j == 20.0, "its neighbours are near enough to be joined"


class TestSplit:
    """A phase that ends between two samples."""

    def test_the_last_power_is_held_until_the_split_and_after_it(self) -> None:
        integrator = Integrator()
        integrator.add(Sample(0.0, power_w=100.0))
        before = integrator.split(0.5)
        after = integrator.add(Sample(1.0, power_w=200.0))
        assert before is not None
        assert after is not None
        assert (before.joules, after.joules) == (50.0, 75.0)

    def test_a_counter_is_not_used_across_a_split(self) -> None:
        integrator = Integrator()
        integrator.add(Sample(0.0, counter_j=100.0))
        interval = integrator.split(0.5)
        assert interval is not None
        assert interval.joules is None
        assert integrator.add(Sample(1.0, counter_j=200.0)) is None, "the next sample starts over"

    def test_a_power_that_is_too_old_is_not_held(self) -> None:
        integrator = Integrator(gap_s=5.0)
        integrator.add(Sample(0.0, power_w=100.0))
        interval = integrator.split(6.0)
        assert interval is not None
        assert interval.joules is None

    def test_a_split_before_the_first_sample_has_no_interval(self) -> None:
        assert Integrator().split(1.0) is None
