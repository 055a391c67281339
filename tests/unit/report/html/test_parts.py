"""The parts of the morning report: values of a knob, effects and spread, coverage, the course, time and energy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.power import Metering, Power
from autoresearch.core.toml import toml_value
from autoresearch.report import summarise
from autoresearch.report.history import History, Row
from autoresearch.report.html import render_html
from autoresearch.report.html.best_file import build_best_file
from autoresearch.report.html.course import build_course, plot_range, round_ticks
from autoresearch.report.html.coverage import build_coverage
from autoresearch.report.html.domain import build_domains
from autoresearch.report.html.effects import build_effects
from autoresearch.report.html.embed import renumber_ids
from autoresearch.report.html.headline import build_key_figures, describe_run
from autoresearch.report.html.panels import build_panel, compute_panel_scale
from autoresearch.report.html.price import Price
from autoresearch.report.html.share import build_shares
from autoresearch.report.html.spending import build_spending
from autoresearch.report.html.text import (
    clean,
    format_gain,
    format_kwh,
    format_short_value,
    format_value,
    join_words,
    with_minus,
)
from autoresearch.report.native import build_history
from autoresearch.testing.fake_meter import fake_power


def history(run) -> History:
    return build_history(run.records)


def test_the_menu_says_which_values_there_are(new_run):
    found = {d.knob: d for d in build_domains(history(new_run().begin()))}
    assert found["d_model"].factors[:3] == ("256", "512", "768")
    assert (found["lr"].low, found["lr"].high, found["lr"].log) == (1e-5, 0.01, True)
    assert found["lr"].value_at(found["lr"].position(0.001)) == pytest.approx(0.001)
    assert found["lr"].baseline == 0.0003


def test_values_off_the_menu_widen_it_and_a_knob_off_it_comes_last(new_run):
    h = history(new_run().begin().evaluated("lr", 0.5, 3.3).evaluated("d_model", 77, 3.3))
    h = replace(h, rows=(*h.rows, Row(3, "evaluated", knob="mood", new_value="blue", val_bpb=3.0)))
    found = {d.knob: d for d in build_domains(h)}
    assert found["lr"].high == 0.5
    assert "77" in found["d_model"].factors
    assert list(found)[-1] == "mood"
    assert found["mood"].factors == ("blue",)


def test_without_a_readable_menu_the_values_are_those_that_were_tried(new_run):
    h = replace(history(new_run().begin().evaluated("lr", 0.001, 3.3)), menu={"version": 99})
    assert {d.knob: d.factors for d in build_domains(h)}["lr"] == ("0.001",)


def test_without_a_readable_menu_many_numbers_are_a_range_and_other_values_are_bounded(new_run):
    def tried(*values) -> History:
        rows = tuple(Row(n, "evaluated", knob="x", new_value=v, improvement_frac=0.1) for n, v in enumerate(values, 1))
        return History("origin", (), rows=rows, baseline_cfg={"x": values[0]})

    (wide,) = build_domains(tried(*(10.0**-n for n in range(20))))
    assert (wide.low, wide.high, wide.log, wide.factors) == (1e-19, 1.0, True, ())
    (narrow,) = build_domains(tried(*range(5, 30)))
    assert (narrow.low, narrow.high, narrow.log) == (5, 29, False)
    words = tried(*(f"word {n}" for n in range(200)))
    (endless,) = build_domains(words)
    assert len(endless.factors) == 50
    (effect,) = build_effects(words)
    assert len(effect.groups) == 50
    assert effect.measured == 200


def test_an_effect_has_a_median_and_a_spread_per_value(new_run):
    run = new_run().begin()
    for bpb in (3.30, 3.33, 3.36, 3.39):
        run.evaluated("batch_size", 8, bpb)
    run.evaluated("lr", 0.001, 3.2).evaluated("batch_size", 4, 3.5)
    found = build_effects(history(run))
    assert [e.domain.knob for e in found] == ["lr", "batch_size"]
    few, many = found[1].groups
    assert (few.label, few.count, few.first) == ("4", 1, None)
    assert (many.count, many.keeps) == (4, 3)
    assert many.low == pytest.approx((3.4 - 3.39) / 3.4)
    assert many.high == pytest.approx((3.4 - 3.30) / 3.4)
    assert many.median == pytest.approx((3.4 - 3.345) / 3.4)
    assert many.low < (many.first or 0) < many.median < (many.third or 0) < many.high


def test_many_values_of_a_range_are_grouped_in_parts(new_run):
    run = new_run().begin()
    for n in range(1, 30):
        run.evaluated("lr", n * 3e-4, 3.3 + n / 1000)
    (effect,) = build_effects(history(run))
    assert len(effect.groups) < 10
    assert sum(g.count for g in effect.groups) == 29
    assert " to " in effect.groups[-1].label


def test_coverage_counts_trials_and_knows_the_baselines_own_value(night):
    found = {c.domain.knob: c for c in build_coverage(history(night))}
    cells = {cell.label: cell for cell in found["d_model"].cells}
    assert cells["768"].tried == 1
    assert cells["1024"].is_baseline
    assert found["d_model"].reached == 2
    assert found["lr"].in_parts
    assert sum(cell.tried for cell in found["lr"].cells) == 2  # the blocked proposal was not tried
    assert cells["768"].level == 1
    assert cells["512"].level == 0
    assert cells["512"].title == "512: never tried"


def test_the_staircase_goes_down_by_keeps_alone(night):
    c = build_course(history(night))
    assert c.steps == ((0, 3.4), (1, 3.36), (6, 3.3))
    assert c.needed == pytest.approx(3.4 * 0.995)
    assert [name for name, _ in c.lanes] == ["failed", "blocked", "no proposal"]
    low, high = plot_range(c)
    assert low < min(y for _, y in c.lanes) < c.low < 3.3
    assert 3.41 < c.high <= high


def test_a_far_outlier_has_a_lane_instead_of_pressing_the_rest_together(new_run):
    run = new_run().begin()
    for n in range(20):
        run.evaluated("lr", 0.001 + n / 1e5, 3.39 + n / 1000)
    c = build_course(history(run.evaluated("lr", 0.009, 99.0)))
    assert c.high < 4
    assert c.lanes[-1][0] == "off scale"


def test_a_run_without_any_measurement_has_a_course(new_run):
    c = build_course(history(new_run().meta().start().proposer_failed()))
    assert c.steps == ()
    assert c.low < c.high


@given(st.floats(-1e3, 1e3), st.floats(1e-6, 1e6), st.integers(2, 9))
def test_ticks_are_few_and_within(low, span, wanted):
    found = round_ticks(low, low + span, wanted)
    assert len(found) <= 2 * wanted + 2
    assert all(low - 1e-6 * span <= t <= low + span * (1 + 1e-6) or len(found) == 1 for t in found)
    assert found == sorted(found)


def test_a_panel_shows_the_baselines_own_value_and_keeps_its_marks_inside(new_run):
    run = new_run().begin().evaluated("lr", 0.001, 3.3).evaluated("lr", 0.001, 9.0).evaluated("batch_size", 8, 3.2)
    h = history(run)
    found = build_effects(h)
    low, high = compute_panel_scale(h, found)
    assert low < 0 < 100 * (3.4 - 3.2) / 3.4 < high
    lr = build_panel(next(e for e in found if e.domain.knob == "lr"), low, high)
    assert lr["kind"] == "log"
    assert lr["fill"]["baseline"]["data"]["entries"] == [["x", [0.0003]], ["y", [0.0]]]
    assert all(y >= low for _, values in lr["fill"]["median"]["data"]["entries"][1:] for y in values)
    assert build_panel(found[0], low, high)["kind"] == "factors"


def test_time_and_energy_add_up(new_run):
    run = new_run().begin().evaluated("lr", 0.001, 3.3, energy_j=100.0).evaluated("lr", 0.002, 3.4, energy_j=300.0)
    h = replace(history(run.failed("n_layer", 48)), energy_j=500.0)
    found = build_spending(summarise(h), h)
    assert sum(part.share for part in found.by_activity) == pytest.approx(1)
    assert [part.name for part in found.by_outcome] == ["keeps", "reverts", "failures", "baseline"]
    assert {part.name: round(part.share, 3) for part in found.energy} == {
        "keeps": 0.2,
        "reverts": 0.6,
        "unfinished": 0.2,
    }


def test_joules_of_several_scopes_are_not_added(new_run):
    run = new_run().begin().evaluated("lr", 0.001, 3.3, energy_j=100.0).evaluated("lr", 0.002, 3.4, energy_j=300.0)
    power = {"gpu": {"train": fake_power(100.0)}, "system": {"train": fake_power(300.0, scope="system")}}
    h = replace(history(run), energy_j=None, power=power)
    found = build_spending(summarise(h), h)
    assert list(found.energy) == []
    assert not any("energy" in name for name, _ in found.facts)
    assert [(k.value, k.note) for k in build_key_figures(summarise(h), h) if k.name == "energy"] == [
        ("-", "of several scopes")
    ]


@pytest.mark.parametrize(("parallel", "note"), [(False, "without pauses"), (True, "in trials side by side")])
def test_the_time_of_trials_side_by_side_is_called_so(new_run, parallel, note):
    h = replace(history(new_run().begin().evaluated("lr", 0.001, 3.3)), parallel=parallel)
    assert [k.note for k in build_key_figures(summarise(h), h) if k.name == "of work"] == [note]


def test_every_scope_that_was_metered_has_its_phases_its_coverage_and_its_cost(new_run):
    def power(energy_j, **more):
        more = {"method": "nvml_energy", "scope": "gpu", "span_s": 100.0, "coverage": 0.9} | more
        return Power(energy_j=energy_j, mean_w=40.0, peak_w=60.0, **more)

    gpu = {"train": power(2.7e6, shared=True), "idle": power(0.9e6), "propose": power(None)}
    system = {"train": power(7.2e6, scope="system", method="hwmon")}
    metering = Metering(method="nvml_energy", scope="gpu", about="a GPU", price_per_kwh=0.4, currency="EUR")
    h = replace(history(new_run().begin()), power={"gpu": gpu, "system": system}, metering=metering)
    h = replace(h, marks={"throttled": 2}, voided=1)
    found = build_spending(summarise(h), h)
    by_scope = {m.scope: m for m in found.metered}
    board = by_scope["the GPU's board"]
    assert board.total == "1.00 kWh, 0.4000 EUR"
    assert [(part.name, round(part.share, 2)) for part in board.phases] == [("training", 0.75), ("idle", 0.25)]
    assert "by NVML's energy counter, 90% of" in board.about
    assert "its joules are included" in board.about
    assert by_scope["the whole system"].total == "2.00 kWh, 0.8000 EUR"
    assert ("marked trials", "2 throttled") in found.facts
    assert ("discarded and run again", "1 trial") in found.facts
    assert build_spending(summarise(h), h, Price(1.0)).metered[0].total == "1.00 kWh, 1.00"  # the command's price wins
    text = render_html(summarise(h), h)
    assert "Energy of the GPU&#39;s board, by activity" in text
    assert "nothing is scaled up for them" in text


def test_nothing_known_is_no_share():
    assert build_shares({"a": (None, "?"), "b": (0.0, "0")}) == ()


def test_a_price_has_enough_digits():
    assert Price(0.3, "EUR").of(10) == "3.00 EUR"
    assert Price(0.3).of(0.01) == "0.0030"


def test_the_best_file_of_a_run_without_a_keep_is_the_baseline(new_run):
    h = history(new_run().begin().evaluated("lr", 0.001, 3.5))
    found = build_best_file(summarise(h), h)
    assert found is not None
    assert found.is_baseline
    assert found.changed == ()
    assert "lr = 0.0003" in found.text


def test_the_changed_line_is_the_changed_knobs(night):
    h = history(night)
    found = build_best_file(summarise(h), h)
    assert found is not None
    assert [line for line, changed in found.lines if changed] == ["d_model = 768"]


@given(st.text())
def test_a_string_stays_one_in_toml(text):
    import tomllib

    assert tomllib.loads(f"x = {toml_value(text)}") == {"x": text}


def test_ids_are_renumbered_from_1_and_refer_to_the_same_objects():
    doc = {"id": "p1007", "a": [{"id": "p1003"}, {"id": "p1007"}], "text": "p1003", "n": 1}
    assert renumber_ids(doc) == {"id": "p1", "a": [{"id": "p2"}, {"id": "p1"}], "text": "p1003", "n": 1}


def test_words():
    assert format_value(0.000123456789) == "0.000123457"
    assert format_short_value(0.000769355) == "0.0007694"
    assert format_value(None) == "-"
    assert format_gain(-0.0123) == "\N{MINUS SIGN}1.23%"
    assert join_words(["a", "b", "c"]) == "a, b and c"
    assert join_words([]) == ""
    assert clean("a\u202eb\n c", 40) == "a\\u202eb c"
    assert clean("x" * 50, 10) == "x" * 9 + "…"
    assert format_kwh(0.00025) == "0.000250 kWh"


def test_a_negative_number_gets_a_minus_and_a_name_keeps_its_hyphen():
    assert with_minus("h100-354m -0.5% (-1 to +2)") == "h100-354m \N{MINUS SIGN}0.5% (\N{MINUS SIGN}1 to +2)"


def test_a_run_over_midnight_names_both_days():
    rows = (Row(1, "blocked", ts="2026-11-20T23:00:00Z"), Row(2, "blocked", ts="2026-11-21T01:30:00Z"))
    h = History("origin", (), rows=rows)
    assert list(describe_run(summarise(h), h))[-1] == "2026-11-20 23:00 to 2026-11-21 01:30 UTC"
