"""The race at the end of a run: its trials, its winner, after a kill, and what verify finds."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from autoresearch.core.records import LoopComplete, Race, SideTrial, Stopped, decode
from autoresearch.report import load, load_records, render_report, summarise
from autoresearch.report.verify import verify
from autoresearch.storage.journal import Journal, read
from autoresearch.storage.run_dir import BEST_CONFIG, TRAJECTORY
from tests.unit.daemon.test_best_config import Climbing, bpb

FRESH = 5000


@pytest.fixture
def climbing(tmp_path: Path) -> Climbing:
    return Climbing(tmp_path)


def race_of(run_dir: Path) -> Race:
    (race,) = (r for r in load_records(run_dir) if isinstance(r, Race))
    return race


def test_the_best_keeps_race_on_fresh_seeds_and_the_winner_is_written(climbing: Climbing) -> None:
    run_dir = climbing.run("one", ("beta1", 0.8), ("lr", 3e-3), crown="on")
    race = race_of(run_dir)
    assert (race.arms, race.winner, race.left) == ((0, 2, 1), 2, (2,))
    trials = [r for r in load_records(run_dir) if isinstance(r, SideTrial)]
    assert {t.seed for t in trials} == set(race.seeds)
    assert min(race.seeds) == FRESH
    assert race.gain_frac == pytest.approx(0.03, abs=2e-3)
    assert tomllib.loads((run_dir / BEST_CONFIG).read_text())["climb"]["iter"] == 2
    assert "the best with 95% confidence" in render_report(summarise(load(run_dir)), load(run_dir), width=400)
    found = verify(load_records(run_dir))
    assert (found.difference, found.decisions) == (None, 3)


def test_a_keep_that_loses_to_the_baseline_is_not_the_winner(climbing: Climbing) -> None:
    climbing.fake.bpb = lambda cfg, seed: bpb(cfg, seed) + 0.2 * (seed >= FRESH and cfg["lr"] == 3e-3)
    run_dir = climbing.run("one", ("lr", 3e-3), crown="on")
    assert race_of(run_dir).winner is None
    assert not (run_dir / BEST_CONFIG).exists()
    assert "the baseline stays" in render_report(summarise(load(run_dir)), load(run_dir), width=400)


def test_a_run_whose_proposer_has_nothing_left_is_raced_too_once(climbing: Climbing) -> None:
    for _ in range(2):
        run_dir = climbing.run("one", ("beta1", 0.8), ("lr", 3e-3), crown="on", iters=9)
        assert race_of(run_dir).winner == 2
        end = load_records(run_dir)[-1]
        assert isinstance(end, Stopped)
        assert end.reason == "all 2 recorded replies have been replayed"


def test_its_total_gain_is_measured(climbing: Climbing) -> None:
    one = climbing.run("one", ("lr", 3e-3))
    two = climbing.run("two", ("beta1", 0.8), baseline=one, iters=9)
    assert len([r for r in load_records(two) if isinstance(r, SideTrial)]) == 8


def test_without_a_keep_and_without_the_setting_there_is_no_race(climbing: Climbing) -> None:
    for name, change, crown in (("one", ("weight_decay", 0.1), "on"), ("two", ("lr", 3e-3), "off")):
        assert not [r for r in load_records(climbing.run(name, change, crown=crown)) if isinstance(r, Race)]


def test_a_complete_run_is_raced_when_the_setting_is_turned_on(climbing: Climbing) -> None:
    climbing.run("one", ("lr", 3e-3))
    run_dir = climbing.run("one", ("lr", 3e-3), crown="on")
    assert race_of(run_dir).winner == 1
    records = len(load_records(run_dir))
    climbing.run("one", ("lr", 3e-3), crown="on")
    assert len(load_records(run_dir)) == records


@pytest.mark.parametrize("kept_trials", [0, 1, 3])
def test_a_race_continues_after_a_kill_to_the_same_result(climbing: Climbing, kept_trials: int) -> None:
    run_dir = climbing.run("one", ("beta1", 0.8), ("lr", 3e-3), crown="on")
    before, payloads = race_of(run_dir), list(read(run_dir / TRAJECTORY).payloads)
    cut = next(n for n, p in enumerate(payloads) if getattr(decode(p), "side_trial", 0) == kept_trials + 1)
    for path in run_dir.glob("trajectory*"):
        path.unlink()
    journal = Journal(run_dir / TRAJECTORY)
    for payload in payloads[: cut + 1]:  # the trial began, and the daemon was killed
        journal.append(payload.decode())
    journal.close()
    climbing.run("one", ("beta1", 0.8), ("lr", 3e-3), crown="on")
    assert race_of(run_dir).model_copy(update={"ts": before.ts}) == before
    assert verify(load_records(run_dir)).difference is None
    assert isinstance(load_records(run_dir)[-1], LoopComplete)


def test_verify_finds_a_forged_winner_and_a_forged_trial(climbing: Climbing) -> None:
    run_dir = climbing.run("one", ("beta1", 0.8), ("lr", 3e-3), crown="on")
    records = load_records(run_dir)
    forged = [r.model_copy(update={"winner": 1}) if isinstance(r, Race) else r for r in records]
    assert verify(forged).difference.field == "race.winner"
    trial = next(n for n, r in enumerate(records) if isinstance(r, SideTrial))
    better = records[trial].outcome.model_copy(update={"val_bpb": 1.0})
    records[trial] = records[trial].model_copy(update={"outcome": better})
    assert verify(records).difference is not None
