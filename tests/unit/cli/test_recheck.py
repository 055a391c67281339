"""``autoresearch recheck``: its table, its JSON and its refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from autoresearch.daemon import fresh_trials, service
from autoresearch.testing.fake_backend import fake_backend
from autoresearch.testing.recording_observer import RecordingObserver

BETTER = json.dumps({"knob": "lr", "new_value": 3e-3, "reason": "a hunch"})
SETTINGS = ("--dir", "again", "--set", "baseline.lr=3e-4")


@pytest.fixture
def kept(make_settings) -> str:
    """The directory of a run that kept its only candidate, a gain of 2.5%."""
    settings = make_settings({"baseline.lr": 3e-4}, iters=1, proposer="replay", dir=Path("run").absolute())
    service.run(settings, RecordingObserver(), replies=((BETTER,),), make_backend=fake_backend)
    return str(settings.run_dir)


@pytest.fixture(autouse=True)
def fake_trials(monkeypatch):
    monkeypatch.setattr(fresh_trials, "real_backend", fake_backend)


def test_each_kept_configuration_has_a_line(cli, kept):
    code, out, err = cli("recheck", kept, *SETTINGS, "--seeds", "3")
    assert code == 0
    heading, line = out.split("\n\n")[0].splitlines()
    assert heading.split() == [
        "iter",
        "change",
        "kept",
        "by",
        "first",
        "seed",
        "claimed",
        "fresh",
        "seeds",
        "95%",
        "interval",
        "verdict",
    ]
    assert "run, threshold" in line
    assert " x3 " in line
    assert line.endswith("holds")
    assert re.search(
        r"^threshold: 1 kept, claims \+2\.\d\d% on average, fresh seeds \+2\.\d\d%, root", out, re.MULTILINE
    )
    assert "fresh trial 1/6: baseline, seed 2000, val_bpb " in err


def test_json_has_the_gain_of_every_seed(cli, kept):
    code, out, _ = cli("recheck", kept, *SETTINGS, "--seeds", "2", "--json")
    found = json.loads(out)
    assert (code, found["complete"], found["seeds"]) == (0, True, 2)
    (only,) = found["kept"]
    assert len(only["gains_frac"]) == 2
    assert only["seeds"] == [2000, 2001]
    assert only["mean_frac"] == pytest.approx(0.025, abs=0.005)


def test_a_run_without_keeps_measures_nothing(cli, finished):
    code, out, err = cli("recheck", str(finished), "--dir", "again")
    assert (code, err) == (0, "")
    assert "nothing was kept" in out


def test_another_baseline_is_refused_by_name(cli, kept):
    code, _, err = cli("recheck", kept, "--dir", "again", "--set", "baseline.lr=1e-3")
    assert code == 76
    assert "baseline_cfg.lr" in err
