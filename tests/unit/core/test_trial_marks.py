"""Which trials are marked, and which are not: an unknown value sets no mark."""

from __future__ import annotations

from typing import Any

import pytest

from autoresearch.core.measurement import Cause, Failure, Mark, Measurement
from autoresearch.core.power import Phase, Power
from autoresearch.core.records import TrialEnded
from autoresearch.core.trial_marks import compute_marks, describe_disturbance, fast_limit
from autoresearch.testing.fake_trial import measurement


def trained(**gauges: Any) -> dict[Phase, Power]:
    fields = {"method": "nvml_energy", "scope": "gpu", "span_s": 60.0, "coverage": 1.0, "energy_j": 6000.0, **gauges}
    return {"train": Power.model_validate(fields)}


def at_speed(flops_per_s: float, device: str = "NVIDIA GB10") -> Measurement:
    changes = {"train_flops": int(60 * flops_per_s), "train_wall_s": 60.0, "device": device}
    return measurement(3.3).model_copy(update=changes)


def baseline(flops_per_s: float = 30e12, **gauges: Any) -> list[TrialEnded]:
    outcome = at_speed(flops_per_s)
    return [TrialEnded(ts="", trial=1, iter=0, seed=0, outcome=outcome, power=trained(**gauges))]


@pytest.mark.parametrize(
    ("gauges", "marks"),
    [
        ({}, ()),
        ({"slowed_frac": 0.0}, ()),
        ({"slowed_frac": 0.05, "slowdowns": ("hw_thermal",)}, ()),
        ({"slowed_frac": 0.3, "slowdowns": ("hw_thermal",)}, ("throttled",)),
        ({"others_util_pct": 3.0}, ()),
        ({"others_util_pct": 40.0}, ("contended",)),
        ({"others_util_pct": 40.0, "slowed_frac": 1.0}, ("contended", "throttled")),
        ({"shared": True}, ()),
    ],
)
def test_throttled_and_contended(gauges: dict[str, Any], marks: tuple[Mark, ...]) -> None:
    assert compute_marks(at_speed(30e12), trained(**gauges), baseline()) == marks


@pytest.mark.parametrize(
    ("device", "waited", "marks"),
    [("cpu", 0.5, ("contended",)), ("cpu", 0.1, ()), ("cpu", None, ()), ("NVIDIA GB10", 0.9, ())],
)
def test_a_trial_on_the_cpu_is_contended_where_a_process_waits_for_a_core(
    device: str, waited: float | None, marks: tuple[Mark, ...]
) -> None:
    assert compute_marks(at_speed(30e12, device), trained(cpu_wait_frac=waited), baseline()) == marks


@pytest.mark.parametrize(
    ("flops_per_s", "clock_mhz", "baseline_clock_mhz", "marks"),
    [
        (30e12, None, None, ()),
        (11e12, None, None, ()),
        (5e12, None, None, ("slow",)),
        (5e12, 500.0, 2400.0, ("slow",)),  # a GB10 that is stuck
        (5e12, 2400.0, 2400.0, ()),  # a batch of two: its own nature
        (5e12, 2400.0, None, ("slow",)),
    ],
)
def test_slow(
    flops_per_s: float, clock_mhz: float | None, baseline_clock_mhz: float | None, marks: tuple[Mark, ...]
) -> None:
    before = baseline(clock_mhz=baseline_clock_mhz)
    assert compute_marks(at_speed(flops_per_s), trained(clock_mhz=clock_mhz), before) == marks


def test_nothing_is_slow_before_there_is_a_baseline_or_without_a_time() -> None:
    assert compute_marks(at_speed(1.0), {}, []) == ()
    assert compute_marks(measurement(3.3), {}, baseline()) == (), "a trial that took no time has no speed"


def test_a_failure_can_have_been_contended_and_is_not_slow() -> None:
    failure = Failure(cause=Cause.TIMEOUT, detail="", trial_wall_s=600.0)
    assert compute_marks(failure, trained(others_util_pct=50.0), baseline()) == ("contended",)
    assert compute_marks(failure, {}, baseline()) == ()


CFG: dict[str, Any] = {"d_model": 128, "batch_size": 8, "precision": "bf16", "lr": 1e-3, "lr_warmup": 60}


@pytest.mark.parametrize(
    ("change", "limit"),
    [
        ({}, 1.5),
        ({"lr": 3e-3, "lr_warmup": 0}, 1.5),
        ({"batch_size": 16}, 3.0),
        ({"d_model": 256}, 3.0),
        ({"a knob of a user's own menu": 1}, 3.0),
        ({"precision": "fp32"}, None),
    ],
)
def test_how_fast_a_configuration_may_be_follows_its_knobs(change: dict[str, Any], limit: float | None) -> None:
    assert fast_limit({**CFG, **change}, CFG) == (None if limit is None else pytest.approx(limit))


@pytest.mark.parametrize(
    ("flops_per_s", "limit", "marks"),
    [
        (44e12, 1.5, ()),
        (46e12, 1.5, ("fast",)),
        (46e12, 3.0, ()),
        (91e12, 3.0, ("fast",)),
        (900e12, None, ()),
        (9e12, 1.5, ("slow",)),
    ],
)
def test_fast_is_the_counterpart_of_slow(flops_per_s: float, limit: float | None, marks: tuple[Mark, ...]) -> None:
    assert compute_marks(at_speed(flops_per_s), {}, baseline(), limit) == marks
    assert compute_marks(at_speed(flops_per_s), {}, [], limit) == (), "without a baseline nothing is fast or slow"


def test_a_disturbance_names_both_sides() -> None:
    assert describe_disturbance([], []) == ""
    assert describe_disturbance(["fast"], ["contended", "throttled", "contended"]) == (
        "the baseline ran contended and throttled, the candidate ran fast"
    )
    assert describe_disturbance(["slow"], []) == "the candidate ran slow"
