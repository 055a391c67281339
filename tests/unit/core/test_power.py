"""Adding up what stretches of time took: the laws, and what may not be added."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.power import PHASES, Power, joined, phase_from_progress

MAYBE = st.none() | st.floats(0, 1e6)


@st.composite
def powers(draw: st.DrawFn) -> Power:
    span_s = draw(st.just(0.0) | st.floats(1e-3, 1e5))
    covered_s = draw(st.just(0.0) | st.floats(1e-3, 1)) * span_s  # a meter's own intervals are never shorter
    energy_j = draw(MAYBE) if covered_s else None
    return Power(
        method=draw(st.sampled_from(["nvml_energy", "nvml_power"])),
        scope="gpu",
        span_s=span_s,
        coverage=covered_s / span_s if energy_j is not None else 0.0,
        energy_j=energy_j,
        mean_w=None,
        peak_w=draw(MAYBE),
        util_pct=draw(st.none() | st.floats(0, 100)),
        mem_used_bytes=draw(st.none() | st.integers(0, 1 << 40)),
        slowed_frac=draw(st.none() | st.floats(0, 1)),
        shared=draw(st.none() | st.booleans()),
    )


@given(powers(), powers())
def test_joules_and_seconds_add_up_and_coverage_stays_a_share(a: Power, b: Power) -> None:
    both = joined(a, b)
    assert (both.energy_j or 0) == pytest.approx((a.energy_j or 0) + (b.energy_j or 0))
    assert (both.energy_j is None) == (a.energy_j is None and b.energy_j is None)
    assert both.span_s == a.span_s + b.span_s
    assert 0 <= both.coverage <= 1
    assert both.coverage * both.span_s == pytest.approx(a.coverage * a.span_s + b.coverage * b.span_s, abs=1e-6)
    assert both.peak_w == max((p for p in (a.peak_w, b.peak_w) if p is not None), default=None)


@given(powers(), powers())
def test_the_order_does_not_matter(a: Power, b: Power) -> None:
    one, other = joined(a, b), joined(b, a)
    assert one.model_dump(exclude={"util_pct", "slowed_frac"}) == other.model_dump(exclude={"util_pct", "slowed_frac"})
    assert (one.util_pct or 0) == pytest.approx(other.util_pct or 0)


@given(powers(), powers())
def test_a_mean_lies_between_its_parts(a: Power, b: Power) -> None:
    known = [p.util_pct for p in (a, b) if p.util_pct is not None]
    mean = joined(a, b).util_pct
    assert (mean is None) == (not known)
    assert mean is None or min(known) - 1e-9 <= mean <= max(known) + 1e-9


def of(scope: str | None = "gpu", **fields: object) -> Power:
    whole = {"method": "nvml_energy", "scope": scope, "span_s": 10.0, "coverage": 1.0, **fields}
    return Power.model_validate(whole)


def test_a_gpu_and_a_whole_system_are_never_added() -> None:
    with pytest.raises(ValueError, match="gpu and of scope system"):
        joined(of("gpu"), of("system"))


def test_the_mean_is_of_the_covered_seconds() -> None:
    both = joined(of(energy_j=1000.0), of(energy_j=500.0, coverage=0.5))
    assert (both.energy_j, both.coverage, both.mean_w) == (1500.0, 0.75, 100.0)


def test_two_sensors_of_one_scope_are_mixed() -> None:
    assert joined(of(), of(method="nvidia_smi")).method == "mixed"


@pytest.mark.parametrize(
    ("a", "b", "either"),
    [(True, None, True), (False, True, True), (False, None, None), (False, False, False), (None, None, None)],
)
def test_shared_once_is_shared(a: bool | None, b: bool | None, either: bool | None) -> None:
    assert joined(of(shared=a), of(shared=b)).shared is either


def test_what_a_trial_is_at_is_a_phase() -> None:
    assert [phase_from_progress(p) for p in PHASES] == list(PHASES)
    assert phase_from_progress("a word of a trial that has gone mad") == "start"
