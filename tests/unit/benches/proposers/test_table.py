"""The surface of a table: measured values, interpolation on the knob's own scale, refusals for want of data."""

from __future__ import annotations

import math
from statistics import fmean, pstdev

import pytest

from autoresearch.benches.proposers.surface import Crash, NoData
from autoresearch.benches.proposers.table import MeasuredTable
from autoresearch.core.measurement import Cause
from autoresearch.errors import CorpusError
from rails.menu import parse_menu

MENU = parse_menu(
    {
        "version": 1,
        "knobs": {
            "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True, "default": 1e-2},
            "decay": {"type": "float", "low": 0.0, "high": 1.0, "default": 0.5},
            "layers": {"type": "int", "low": 1, "high": 9, "default": 5},
            "kind": {"type": "choice", "choices": ["a", "b", "c"], "default": "a"},
        },
    }
)
BASELINE = {"lr": 1e-2, "decay": 0.5, "layers": 5, "kind": "a"}


def why_no_data(surface: MeasuredTable, cfg) -> str:
    """Why the surface cannot say; empty where it can."""
    try:
        surface.point(cfg, 0)
    except NoData as e:
        return str(e)
    return ""


def row(value, seed=0, seconds=10.0, steps=None, **change):
    from autoresearch.benches.proposers.table_file import TableRow

    cause = None if value is not None else "out_of_memory"
    return TableRow(
        cfg={**BASELINE, **change}, seed=seed, val_bpb=value, trial_wall_s=seconds, steps=steps, cause=cause
    )


def repeated(mean, spread=0.01, **change):
    """Three seeds around a mean, with a standard deviation of ``spread`` times the mean."""
    return [row(mean * (1 + spread * d), seed, **change) for seed, d in enumerate((-1.0, 0.0, 1.0))]


def table(*rows):
    return MeasuredTable.of(MENU, BASELINE, [*repeated(2.0), *rows])


def at(surface, seed=0, **change):
    return surface.point({**BASELINE, **change}, seed)


def test_a_measured_value_is_the_measured_one():
    surface = table(*repeated(1.8, lr=0.1))
    assert [at(surface, s, lr=0.1).value for s in range(3)] == pytest.approx([1.782, 1.8, 1.818])
    assert at(surface, 0, lr=0.1).mean == pytest.approx(1.8)
    assert at(surface).mean == surface.baseline_mean == pytest.approx(2.0)


def test_another_seed_of_a_measured_configuration_has_the_measured_noise_around_its_mean():
    surface = table(*repeated(1.8, lr=0.1))
    values = [at(surface, seed, lr=0.1).value for seed in range(100, 3100)]
    assert values == [at(surface, seed, lr=0.1).value for seed in range(100, 3100)]
    assert fmean(values) == pytest.approx(1.8, rel=0.002)
    assert pstdev(values) == pytest.approx(1.8 * surface.noise.sd_frac, rel=0.1)


def test_between_points_a_log_knob_is_linear_in_its_logarithm():
    line = [r for e, mean in ((-4, 2.4), (-3, 2.2), (-1, 1.8)) for r in repeated(mean, lr=10.0**e)]
    surface = table(*line)
    assert at(surface, lr=10**-2.5).mean == pytest.approx(2.1)
    assert at(surface, lr=10**-1.5).mean == pytest.approx(1.9)
    assert surface.true_mean({**BASELINE, "lr": 10**-3.25}) == pytest.approx(2.25)


def test_between_points_a_linear_knob_is_linear_and_costs_are_too():
    line = [r for d, mean in ((0.0, 1.9), (1.0, 2.1)) for r in repeated(mean, decay=d, seconds=10 + 20 * d, steps=100)]
    surface = table(*line)
    point = at(surface, decay=0.75)
    assert point.mean == pytest.approx(2.05)
    assert point.trial_s == pytest.approx(20.0)  # the baseline takes 10 s, decay = 1 takes 30 s
    assert point.steps is None  # not known of the baseline


def test_whole_numbers_are_interpolated_too():
    line = [r for n, mean in ((1, 2.4), (9, 1.6)) for r in repeated(mean, layers=n)]
    assert at(table(*line), layers=7).mean == pytest.approx(1.8)


def test_where_the_line_is_not_straight_there_is_no_data():
    """The baseline lies 0.5 above the line through its neighbours: 25 noise SDs."""
    line = [r for d, mean in ((0.0, 1.5), (1.0, 1.5)) for r in repeated(mean, decay=d)]
    surface = table(*line)
    with pytest.raises(NoData, match=r"decay = 0\.75 is between 0\.5 and 1\.0, .* by 25\.0 noise SDs"):
        at(surface, decay=0.75)
    assert why_no_data(surface, {**BASELINE, "decay": 0.75})
    assert at(surface, decay=1.0).mean == pytest.approx(1.5)  # what is measured stays measured


@pytest.mark.parametrize(("error_sds", "is_data"), [(1.9, True), (2.1, False)])
def test_two_noise_sds_are_the_limit(error_sds, is_data):
    end = 2.0 * (1 - 0.01 * error_sds)
    line = [r for d in (0.0, 1.0) for r in repeated(end, decay=d)]
    assert (why_no_data(table(*line), {**BASELINE, "decay": 0.75}) == "") is is_data


def test_the_limit_holds_where_it_is_broken_and_not_elsewhere():
    means = {0.0: 2.0, 0.25: 2.0, 0.75: 2.0, 0.9: 2.0, 1.0: 1.0}
    surface = table(*(r for d, mean in means.items() for r in repeated(mean, decay=d)))
    assert not why_no_data(surface, {**BASELINE, "decay": 0.3})
    assert why_no_data(surface, {**BASELINE, "decay": 0.95})


def test_two_points_say_nothing_of_what_is_between():
    with pytest.raises(NoData, match="too few points"):
        at(table(*repeated(1.9, decay=1.0)), decay=0.75)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"decay": 0.01}, "outside the measured range"),
        ({"kind": "b"}, "no measurement of kind = b"),
        ({"decay": 0.75, "lr": 0.1}, "this combination of lr, decay"),
        ({"decay": 7.0}, "outside"),
        ({"unknown": 1}, "unknown is unknown"),
    ],
)
def test_what_no_measurement_says_is_refused(change, why):
    surface = table(*repeated(1.9, decay=0.9), *repeated(1.95, decay=0.1))
    with pytest.raises(NoData, match=why):
        at(surface, **change)
    with pytest.raises(NoData):
        surface.true_mean({**BASELINE, **change})


def test_a_measured_combination_is_measured():
    surface = table(*repeated(1.7, lr=0.1, kind="b"))
    assert at(surface, lr=0.1, kind="b").mean == pytest.approx(1.7)
    assert surface.optimum.cfg["kind"] == "b"
    assert surface.optimum_mean == pytest.approx(1.7)


def test_a_crash_is_a_fact_and_nothing_is_interpolated_beside_it():
    rows = [row(None, seed, lr=1.0, seconds=3.0) for seed in range(3)] + repeated(1.9, lr=0.1)
    surface = table(*rows)
    with pytest.raises(Crash) as e:
        at(surface, 77, lr=1.0)
    assert (e.value.cause, e.value.trial_s) == (Cause.OUT_OF_MEMORY, 3.0)
    with pytest.raises(Crash):
        surface.true_mean({**BASELINE, "lr": 1.0})
    with pytest.raises(NoData, match="a measured neighbour fails"):
        at(surface, lr=0.5)
    assert surface.optimum.cfg["lr"] == 0.1


def test_a_configuration_that_fails_with_some_seeds_fails_as_often_with_others():
    surface = table(row(1.5, 0, lr=1.0), row(None, 1, lr=1.0), row(None, 2, lr=1.0))
    assert at(surface, 0, lr=1.0).value == 1.5
    failed = 0
    for seed in range(10, 1010):
        try:
            at(surface, seed, lr=1.0)
        except Crash:
            failed += 1
    assert 600 < failed < 730
    assert surface.optimum_mean == pytest.approx(2.0)  # what fails is not handed over


def test_seconds_are_the_median_because_other_work_slows_single_trials():
    rows = [row(1.9, seed, lr=0.1, seconds=s) for seed, s in enumerate((9.0, 10.0, 300.0))]
    assert at(table(*rows), lr=0.1).trial_s == 10.0


def test_without_noise_a_straight_line_is_data_and_another_is_not():
    straight = [row(2.0 + 0.1 * (d - 0.5), s, decay=d) for d in (0.0, 1.0) for s in (0, 1)]
    exact = [row(2.0, seed) for seed in (0, 1)]
    assert not why_no_data(MeasuredTable.of(MENU, BASELINE, exact + straight), {**BASELINE, "decay": 0.75})
    bent = [row(1.9, s, decay=d) for d in (0.0, 1.0) for s in (0, 1)]
    assert why_no_data(MeasuredTable.of(MENU, BASELINE, exact + bent), {**BASELINE, "decay": 0.75})


def test_a_table_without_its_baseline_or_without_its_noise_is_refused():
    with pytest.raises(CorpusError, match="no value of its baseline"):
        MeasuredTable.of(MENU, BASELINE, repeated(1.9, lr=0.1))
    with pytest.raises(CorpusError, match="no configuration has two seeds"):
        MeasuredTable.of(MENU, BASELINE, [row(2.0), row(1.9, lr=0.1)])


def test_a_mean_between_two_points_lies_between_theirs():
    line = [r for e, mean in ((-4, 2.02), (-3, 2.01), (-1, 1.99), (0, 1.98)) for r in repeated(mean, lr=10.0**e)]
    surface = table(*line)
    for n in range(1, 40):
        value = 10 ** (-4 + n / 10)
        assert 1.98 <= at(surface, n, lr=value).mean <= 2.02
        assert math.isfinite(at(surface, n, lr=value).value)
