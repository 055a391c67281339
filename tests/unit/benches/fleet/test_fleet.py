"""The simulated fleet: figures of nights, times of trials, durable nights, a whole command."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.benches.fleet.night import FleetNight, Plan
from autoresearch.benches.fleet.night_file import CODE, open_nights
from autoresearch.benches.fleet.summary import summarise, summarise_levels
from autoresearch.benches.fleet.trial_times import Devices, TrialTimes, device_factors
from autoresearch.benches.fleet.work_clock import WorkClock
from autoresearch.benches.search import night_file
from autoresearch.cli import main
from autoresearch.core.executor import TrialOrder

NIGHT = FleetNight(
    proposer="tpe",
    workers=1,
    seed=0,
    trials=40,
    curve=(1.0, 0.9, 0.8, 0.7, 0.6),
    at_s=(0.0, 10.0, 20.0, 30.0, 40.0),
    worker_use=1.0,
    elapsed_s=40.0,
    proposals=40,
    repeats=0,
    proposal_s=0.01,
    proposal_p95_s=0.02,
    propose_cpu_s=0.4,
    loop_cpu_s=0.2,
    records=160,
    journal_bytes=1000,
    ending="",
)
PLAN = Plan(trials=40, rule="threshold", append_s=0.0)  # a point of a curve for each trial


def test_efficiency_is_by_trials_and_speedup_by_time() -> None:
    curve = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6)
    wide = replace(NIGHT, workers=4, curve=curve, at_s=tuple(5.0 * n for n in range(9)), elapsed_s=20.0)
    serial, row = summarise([wide, NIGHT], PLAN)
    assert (serial.efficiency, serial.trials_to_level) == (1.0, 4.0)
    assert row.trials_to_level == pytest.approx(8.0)
    assert (row.efficiency, row.speedup) == (pytest.approx(0.5), pytest.approx(1.0))
    assert row.loop_core_frac == pytest.approx(0.01)
    assert row.records_per_s == pytest.approx(8.0)


def test_a_level_that_is_not_reached_or_not_known_has_no_efficiency() -> None:
    wide = replace(NIGHT, workers=4, curve=(1.0, 0.9), at_s=(0.0, 1.0))
    assert summarise([wide, NIGHT], PLAN)[1].efficiency is None
    assert summarise([wide], PLAN)[0].level is None


def test_no_device_runs_two_trials_at_a_time_and_what_is_used_is_their_overlap() -> None:
    devices = Devices(TrialTimes(10.0, (1.0,), (1.0,), True), (1.0, 2.0), 0)
    cfg = {"lr": 0.1}
    assert devices.begin(TrialOrder(1, 1, 0, cfg), 0.0) == 10.0
    assert devices.begin(TrialOrder(2, 2, 0, cfg), 0.0) == 20.0
    assert devices.begin(TrialOrder(3, 3, 0, cfg), 10.0) == 10.0
    assert devices.used(0.0, 20.0) == pytest.approx(1.0)
    assert devices.used(0.0, 40.0) == pytest.approx(0.5)
    assert device_factors(32, 1)[15] > 1.5


def test_the_clock_counts_work_and_not_the_simulation() -> None:
    cpu = [0.0]
    clock = WorkClock(lambda: cpu[0])
    cpu[0] = 2.0
    with clock.stopped():
        cpu[0] = 5.0
    assert clock.now == 2.0
    clock.now = 10.0
    clock.now = 4.0  # the loop was busy beyond that end: the clock does not go back
    assert (clock.now, clock.worked_s) == (10.0, 2.0)


def test_nights_are_read_back_and_those_of_other_conditions_counted(tmp_path: Path) -> None:
    with open_nights(tmp_path, "a") as file:
        file.keep(NIGHT)
    with open_nights(tmp_path, "a") as file:
        assert file.known == {("tpe", 1, 0): NIGHT}
    with open_nights(tmp_path, "b") as file:
        assert (file.known, file.others) == ({}, 1)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = random.Random(1)
    rows = [{"cfg": {"x": (x := draw.random()), "y": (y := draw.random())}, "value": 1 + x * x + y} for _ in range(40)]
    knob = {"type": "float", "low": 0.0, "high": 1.0, "default": 0.5}
    (tmp_path / "t.json").write_text(json.dumps(rows))
    (tmp_path / "m.json").write_text(json.dumps({"version": 1, "knobs": {"x": knob, "y": knob}}))
    flags = ["--table", f"{tmp_path}/t.json", "--menu", f"{tmp_path}/m.json", "--proposers", "trust-region"]
    flags += ["--workers", "1,8", "--trials", "8", "--seeds", "1", "--jobs", "1", "--json", "--dir", f"{tmp_path}/d"]
    assert main(["bench", "fleet", *flags]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["workers"] for row in found["rows"]] == [1, 8]
    assert not found["times_measured"]
    assert all(row["worker_use"] > 0.5 and row["repeats"] == 0 for row in found["rows"])
    assert {level["workers"] for level in found["levels"]} == {8}
    pytest.importorskip("matplotlib", reason="pip install 'autoresearch[plot]'")
    assert main(["bench", "fleet", *flags, "--plot", f"{tmp_path}/p.svg"]) == 0
    assert "2 nights are known" in capsys.readouterr().err
    assert b"<svg" in (tmp_path / "p.svg").read_bytes()


def test_an_efficiency_is_given_for_each_level_with_an_interval_and_what_the_delay_alone_costs() -> None:
    """Nights of 5 workers that lose exactly the 4 trials which the first proposals know nothing of."""
    serial = [replace(NIGHT, seed=s, curve=tuple(1 - 0.01 * n + 0.001 * s for n in range(41))) for s in range(6)]
    lost = [replace(n, workers=5, curve=(*[n.curve[0]] * 4, *n.curve)) for n in serial]
    rows = summarise_levels([*serial, *lost], PLAN)
    assert [row.serial_trials for row in rows] == [8, 16, 24, 32, 40]
    for row in rows:
        assert row.efficiency == pytest.approx(row.delay_alone)
        assert row.low <= row.efficiency + 1e-9
        assert row.high >= row.efficiency - 1e-9
    assert rows[0].efficiency == pytest.approx(8 / 12)


def test_a_level_beyond_the_end_of_a_night_is_below_what_can_be_seen() -> None:
    serial = [replace(NIGHT, seed=s, curve=tuple(1 - 0.01 * n for n in range(41))) for s in range(2)]
    short = [replace(n, workers=4, curve=n.curve[:31]) for n in serial]
    *seen, last = summarise_levels([*serial, *short], PLAN)
    assert seen[0].efficiency == pytest.approx(1.0)
    assert (last.efficiency, last.trials_to_level, last.seen_from, last.high) == (None, None, 1.0, 0.0)
    assert summarise_levels(short, PLAN) == []


def test_nights_of_other_code_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of this bench counts, not the proposers' alone."""
    (tmp_path / "benches/fleet").mkdir(parents=True)
    (tmp_path / "benches/fleet/parts.py").write_text("a = 1\n")
    monkeypatch.setattr(night_file.autoresearch, "__file__", str(tmp_path / "__init__.py"))
    before = night_file.code_sha256(("benches/fleet",))
    (tmp_path / "benches/fleet/parts.py").write_text("a = 2\n")
    assert night_file.code_sha256(("benches/fleet",)) != before
    assert "benches/fleet" in CODE
