"""Several running trials: progress.json, and the lines and cards that are made of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.ports import Progress
from autoresearch.core.records import TrialEnded
from autoresearch.report.history import History, OpenTrial
from autoresearch.report.text import _describe_open_trial
from autoresearch.report.watch.several_trials import several_trials, trial_lines
from autoresearch.storage.progress_file import ProgressFile, read_progress

NOW = datetime.fromisoformat("2026-11-27T05:00:00+00:00")
TS = (NOW - timedelta(seconds=300)).isoformat()


def progress(trial: int, n: int, seed: int, where: str, fraction: float) -> Progress:
    return Progress(n, "train", fraction, 5, 1000.0, trial, seed, where)


def history(*trials: OpenTrial) -> History:
    return History("autoresearch", (), open_trial=trials[0] if trials else None, open_trials=trials)


def test_progress_json_holds_every_running_trial_until_it_ends(tmp_path: Path) -> None:
    now = iter(range(0, 100, 5))
    file = ProgressFile(tmp_path, lambda: float(next(now)))
    file.progressed(progress(7, 3, 42, "cuda:0", 0.25))
    file.progressed(progress(8, 3, 43, "cuda:1", 0.5))
    found = read_progress(tmp_path)
    assert found is not None
    assert [(t.trial, t.seed, t.where, t.fraction) for t in found.trials] == [
        (7, 42, "cuda:0", 0.25),
        (8, 43, "cuda:1", 0.5),
    ]
    failed = Failure(cause=Cause.ERROR, detail="no")
    file.recorded(TrialEnded(ts="now", trial=7, iter=3, seed=42, outcome=failed))
    file.progressed(progress(8, 3, 43, "cuda:1", 0.75))
    found = read_progress(tmp_path)
    assert found is not None
    assert [t.trial for t in found.trials] == [8]
    file.recorded(TrialEnded(ts="now", trial=8, iter=3, seed=43, outcome=failed))
    assert read_progress(tmp_path) is None


def test_a_serial_run_writes_what_it_wrote(tmp_path: Path) -> None:
    file = ProgressFile(tmp_path)
    file.progressed(Progress(3, "train", 0.25, 5, None))
    assert "trials" not in file.path.read_text()
    assert several_trials(history(OpenTrial(3, TS, 42, 7)), read_progress(tmp_path), NOW) == []


def test_each_trial_has_its_device_iteration_seed_progress_and_time_left(tmp_path: Path) -> None:
    file = ProgressFile(tmp_path)
    file.progressed(progress(7, 3, 42, "cuda:0", 0.25))
    whole = history(OpenTrial(3, TS, 42, 7), OpenTrial(0, TS, 43, 8))
    first, second = trial_lines(several_trials(whole, read_progress(tmp_path), NOW), 100)
    assert first == "cuda:0         25%  iteration 3, seed 42, training, 1,000 tokens/s, about 15 min left"
    assert second.split() == ["the", "baseline,", "seed", "43,", "starting"]
    assert _describe_open_trial(whole) == "; 2 trials running: iteration 3 seed 42, the baseline seed 43"
