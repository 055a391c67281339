"""``autoresearch audit --repeat``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoresearch.daemon import fresh_trials, service
from autoresearch.daemon.repeat_keep import repeats_dir
from autoresearch.storage.journal import read
from autoresearch.testing.fake_backend import fake_backend
from autoresearch.testing.recording_observer import RecordingObserver

BETTER = json.dumps({"knob": "lr", "new_value": 3e-3, "reason": "a hunch"})
SETTINGS = ("--set", "baseline.lr=3e-4")
TSV = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\na\t2.0\t1\tkeep\tbaseline\nb\t1.96\t1\tkeep\thigher lr\n"


@pytest.fixture
def kept(make_settings) -> Path:
    """The directory of a run that kept its only candidate, a gain of 2.5%."""
    settings = make_settings({"baseline.lr": 3e-4}, iters=1, proposer="replay", dir=Path("run").absolute())
    service.run(settings, RecordingObserver(), replies=((BETTER,),), make_backend=fake_backend)
    return settings.run_dir


@pytest.fixture(autouse=True)
def fake_trials(monkeypatch):
    monkeypatch.setattr(fresh_trials, "real_backend", fake_backend)


def test_a_keep_of_our_run_is_measured_again_beside_it(cli, kept):
    before = sorted(p.name for p in kept.iterdir())
    code, out, _ = cli("audit", str(kept), "--noise", "0.003", "--repeat", "1", "--repeats", "3", *SETTINGS)
    assert code == 0
    assert "Measured again, iteration 1 gains +" in out
    assert "over 3 fresh seeds" in out
    assert sorted(p.name for p in kept.iterdir()) == before
    assert len(read(kept.parent / "run.repeats" / "fresh-trials.jsonl").payloads) == 6


def test_a_second_call_continues_and_json_has_the_gains(cli, kept):
    first = ("audit", str(kept / "trajectory.jsonl"), "--repeat", "iteration 1", *SETTINGS, "--json")
    shown = json.loads(cli(*first, "--repeats", "2")[1])["logs"][0]["repeated"]
    again = json.loads(cli(*first, "--repeats", "3")[1])["logs"][0]["repeated"]
    assert again["gains_frac"][:2] != []
    assert (len(shown["gains_frac"]), len(again["gains_frac"]), again["complete"]) == (2, 3, True)
    assert len(read(repeats_dir(kept) / "fresh-trials.jsonl").payloads) == 6


def test_other_settings_than_the_runs_are_refused(cli, kept):
    code, _, err = cli("audit", str(kept), "--repeat", "1", "--set", "baseline.lr=4e-4")
    assert (code, "baseline" in err) == (76, True)


def test_a_foreign_log_needs_to_be_told_the_change(cli, tmp_path):
    log = tmp_path / "results.tsv"
    log.write_text(TSV)
    code, _, err = cli("audit", str(log), "--repeat", "higher lr")
    assert (code, "--change KNOB=VALUE" in err) == (78, True)
    code, out, err = cli(
        *("audit", str(log), "--repeat", "higher lr", "--change", "lr=3e-3", "--repeats", "2", *SETTINGS)
    )
    assert (code, "gains +" in out) == (0, True), err
    assert (tmp_path / "results.tsv.repeats" / "fresh-trials.jsonl").is_file()
    assert log.read_text() == TSV


@pytest.mark.parametrize("change", ["colour=1", "lr", "lr=true", "lr=[1]", "lr=1e9"])
def test_a_change_that_the_trainer_cannot_make_is_named(change, cli, tmp_path):
    log = tmp_path / "results.tsv"
    log.write_text(TSV)
    code, _, err = cli("audit", str(log), "--repeat", "higher lr", "--change", change)
    assert code == 78
    assert change.partition("=")[0] in err


def test_one_log_at_a_time_and_a_keep_of_it(cli, kept):
    assert cli("audit", str(kept), str(kept), "--repeat", "1")[0] == 78
    code, _, err = cli("audit", str(kept), "--repeat", "7")
    assert (code, "its keeps: iteration 1" in err) == (78, True)
    assert cli("audit", str(kept), "--repeat", "1", "--change", "lr=1")[0] == 78
