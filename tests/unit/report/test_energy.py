"""kWh, cost, coverage and joules per phase, in status and report."""

from __future__ import annotations

import json

import pytest

from autoresearch.core.power import Metering
from autoresearch.core.records import Started, Stopped
from autoresearch.report.energy import energy_lines, energy_numbers, marks_line
from autoresearch.report.native import build_history
from autoresearch.report.summary import summarise, summary_json
from autoresearch.report.text import render_report, render_status
from autoresearch.testing.fake_meter import fake_power

IDLE = fake_power(36.0, 3.0)
METERING = Metering(
    method="nvml_energy", scope="gpu", about="a GPU", idle=IDLE, shared=True, price_per_kwh=0.3, currency="EUR"
)
PHASES = {
    "train": fake_power(3.6e6, 36_000.0, peak_w=120.0),
    "validate": fake_power(1.8e6, 18_000.0, shared=True),
    "idle": fake_power(None, 6_000.0),
}


def test_a_run_s_kwh_money_and_coverage() -> None:
    (gpu,) = energy_numbers({"gpu": PHASES}, METERING)
    assert (gpu.scope, gpu.method, gpu.energy_kwh, gpu.cost) == ("gpu", "nvml_energy", 1.5, pytest.approx(0.45))
    assert (gpu.coverage, gpu.span_s, gpu.mean_w, gpu.peak_w) == (pytest.approx(0.9), 60_000.0, 100.0, 120.0)
    assert (gpu.idle_w, gpu.shared, gpu.phases) == (12.0, True, PHASES)


def test_scopes_stand_beside_each_other_the_longest_first() -> None:
    system = {"train": fake_power(7.2e6, 40_000.0, scope="system", method="hwmon")}
    numbers = energy_numbers({"system": system, "gpu": PHASES}, METERING)
    assert [(n.scope, n.energy_kwh, n.idle_w) for n in numbers] == [("gpu", 1.5, 12.0), ("system", 2.0, None)]


@pytest.mark.parametrize(("price", "cost"), [(None, None), (0.0, 0.0), (0.3, 0.45)])
def test_money_is_known_where_a_price_is(price: float | None, cost: float | None) -> None:
    (gpu,) = energy_numbers({"gpu": PHASES}, METERING.model_copy(update={"price_per_kwh": price}))
    assert gpu.cost == (None if cost is None else pytest.approx(cost))


def test_what_is_not_known_is_null_and_not_nothing() -> None:
    (gpu,) = energy_numbers({"gpu": {"train": fake_power(None, 60.0)}}, METERING)
    assert (gpu.energy_kwh, gpu.cost, gpu.mean_w, gpu.coverage) == (None, None, None, 0.0)
    assert list(energy_lines([gpu], "EUR")) == []
    assert energy_numbers({}, None) == []


def test_the_same_in_words() -> None:
    lines = list(energy_lines(energy_numbers({"gpu": PHASES}, METERING), "EUR"))
    assert lines == [
        "1.5000 kWh, 0.4500 EUR: the GPU's board, by NVML's energy counter, 90% of 16 h 40 min metered",
        "train 3,600,000 J at 100.0 W, validate 1,800,000 J at 100.0 W",
        "100.0 W on average, at most 120.0 W, 12.0 W before the first trial",
        "another process, for example an LLM server, used the same device: its joules are included",
    ]


def test_a_currency_is_no_place_for_control_characters() -> None:
    (line, *_) = energy_lines(energy_numbers({"gpu": PHASES}, METERING), "\x1b[2JEU")
    assert "\x1b" not in line


def test_marks_line() -> None:
    assert marks_line({}, 0) == ""
    line = marks_line({"throttled": 2, "contended": 1}, 1)
    assert line == "1 contended, 2 throttled (marked ! below); 1 trial discarded and run again"


def metered(new_run):
    run = new_run().meta()
    run.start()
    start = run.records.pop()
    assert isinstance(start, Started)
    run.records.append(start.model_copy(update={"metering": METERING}))
    run.baseline().evaluated("lr", 0.001, 3.3)
    stop = {"ts": "", "reason": "1.501 of 1.5 kWh are spent", "completed_iters": 1, "requested_iters": 10}
    run.records.append(Stopped(**stop, power=PHASES))
    return run


def test_status_and_report_say_it_in_text_and_json(new_run) -> None:
    history = build_history(metered(new_run).records)
    summary = summarise(history)
    for text in (render_status(summary, history, width=200), render_report(summary, history, width=200)):
        assert "energy      1.5000 kWh" in text
        assert "1.501 of 1.5 kWh are spent" in text
        assert "train 3,600,000 J" in text
    (gpu,) = json.loads(summary_json(summary))["energy"]
    assert gpu["energy_kwh"] == pytest.approx(1.50001)  # with the three seconds before the first trial
    assert gpu["phases"]["validate"]["energy_j"] == 1.8e6
    assert gpu["cost"] == pytest.approx(0.450003)


def test_a_mark_stands_in_the_iteration_s_line_and_its_cost_in_its_row(new_run) -> None:
    run = new_run().begin().evaluated("lr", 0.001, 3.3, 3.4, energy_j=5.0)
    numbers = [n for n, r in enumerate(run.records) if r.stage == "trial"]
    first = run.records[numbers[1]]
    run.records[numbers[1]] = first.model_copy(update={"marks": ("contended",)})
    history = build_history(run.records)
    assert history.rows[0].marks == ("contended",)
    text = render_report(summarise(history), history)
    assert "1 contended (marked ! below)" in text
    assert any(" ! " in line or line.endswith(" !") for line in text.splitlines() if line.startswith("1 "))
