"""The cards of several running trials: each with its change and the readings of its device."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from autoresearch.report.history import History, OpenTrial
from autoresearch.report.watch.snapshot import Snapshot
from autoresearch.storage.progress_file import ProgressSnapshot, TrialAt
from autoresearch.web.sections import describe_devices, overview
from autoresearch.web.telemetry_tail import Reading

NOW = datetime.fromisoformat("2026-11-27T05:00:00+00:00")
TS = (NOW - timedelta(seconds=100)).isoformat()


def reading(watts: float, scope: str = "gpu") -> Reading:
    return Reading("2026-11-27T05:00:00Z", 97.0, 1024.0, watts, 61.0, 1980.0, "", "train", scope)


def at_work() -> Snapshot:
    """Trial 7 on cuda:10, trial 8 on cuda:2, trial 9 just begun."""
    change = "<b>lr</b> = 0.001"
    trials = (OpenTrial(3, TS, 42, 7, change), OpenTrial(0, TS, 43, 8), OpenTrial(4, TS, 42, 9))
    history = History("autoresearch", (), open_trial=trials[0], open_trials=trials, state="running")
    at = (TrialAt(7, 3, 42, "cuda:10", "train", 0.5, 1000.0), TrialAt(8, 0, 43, "cuda:2", "validate", 1.0, None))
    return Snapshot(Path(), NOW, history, alive=True, progress=ProgressSnapshot(1, 3, "train", 0.5, 1000.0, at))


def test_each_device_has_its_own_card_in_the_order_of_the_devices() -> None:
    own = {"cuda:10": (reading(300.0),), "cuda:2": (reading(120.0),)}
    new, second, tenth = describe_devices(at_work(), [reading(420.0), reading(900.0, "system")], own)
    assert [card["name"] for card in (second, tenth)] == ["cuda:2", "cuda:10"]
    assert (tenth["doing"], second["doing"]) == ("iteration 3, <b>lr</b> = 0.001, seed 42", "the baseline, seed 43")
    assert (tenth["readings"][0][:2], second["readings"][0][:2]) == (["gpu", "300.0 W"], ["gpu", "120.0 W"])
    assert new["readings"] == [["system", "900.0 W", "61 °C", "97% busy", "1980 MHz", "1.0 GiB"]], "not the sum"
    assert tenth["left_s"] == 100


def test_readings_that_no_device_has_alone_are_on_the_first_card() -> None:
    first, *rest = describe_devices(at_work(), [reading(420.0)])
    assert first["readings"][0][1] == "420.0 W"
    assert all(card["readings"] == [] for card in rest)


def test_the_list_of_runs_has_their_number() -> None:
    line = overview(at_work(), 0, 0)
    assert (line["doing"], line["fraction"]) == ("3 trials at work", None)
