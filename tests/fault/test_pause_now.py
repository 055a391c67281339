"""The whole product: a real trial of 1,000 steps is paused inside, its daemon is killed, and val_bpb is the same."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoresearch.core.measurement import Measurement
from autoresearch.core.records import Baseline, Paused, Stopped, TrialEnded, TrialStarted, TrialSuspended, decode
from autoresearch.storage.journal import read

pytestmark = pytest.mark.slow

DAEMON = Path(__file__).with_name("fake_daemon.py")
STEPS = 2500  # some seconds, so that a command takes hold inside the trial on a busy machine too
SETTINGS = {
    "budget.size": STEPS,
    "baseline.n_layer": 1,
    "baseline.d_model": 64,
    "baseline.batch_size": 2,
    "baseline.seq_len": 64,
    "eval.bytes": 8192,
    "threads": 1,
}


class Daemon:
    """A daemon with real trials, which says aloud what is durable, and the run's own commands."""

    def __init__(self, run_dir: Path, corpus: Path, **settings: Any) -> None:
        self.run_dir = run_dir
        given = json.dumps({**SETTINGS, "corpus": str(corpus), **settings})
        command = [sys.executable, str(DAEMON), "real", str(run_dir), "1", given]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.rest = b""

    def hear(self, beginning: bytes) -> None:
        """Wait for a line that begins like that."""
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        while True:
            *lines, self.rest = self.rest.split(b"\n")
            for n, line in enumerate(lines):
                if line.startswith(beginning):
                    self.rest = b"\n".join([*lines[n + 1 :], self.rest])
                    return
            assert select.select([fd], [], [], 120)[0], f"no line begins with {beginning!r}"
            data = os.read(fd, 1 << 16)
            assert data, f"it ended before a line began with {beginning!r}"
            self.rest += data

    def say(self, *words: str) -> str:
        command = [sys.executable, "-m", "autoresearch", *words, str(self.run_dir)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def whole(tmp_path: Path, small_corpus: Path) -> float:
    """The baseline's val_bpb, measured undisturbed."""
    return val_bpb(Daemon(tmp_path / "whole", small_corpus))


def val_bpb(daemon: Daemon) -> float:
    """Wait for the baseline, end everything, and read what it came to."""
    daemon.hear(b'record {"stage":"baseline"')
    daemon.end()
    (baseline,) = [r for r in records(daemon.run_dir) if isinstance(r, Baseline)]
    assert baseline.eval_metrics.train_steps == STEPS
    return baseline.baseline_val_bpb


def records(run_dir: Path) -> list[Any]:
    return [decode(payload) for payload in read(run_dir / "trajectory.jsonl").payloads]


def test_pause_now_takes_hold_inside_the_trial_and_changes_nothing(
    tmp_path: Path, small_corpus: Path, whole: float
) -> None:
    daemon = Daemon(tmp_path / "run", small_corpus)
    for _ in range(5):
        daemon.hear(b"progress")
    assert daemon.say("pause", "--now") == f"{tmp_path / 'run'} pauses inside its running trial\n"
    daemon.hear(b'record {"stage":"paused"')
    daemon.say("resume")
    for _ in range(5):
        daemon.hear(b"progress")
    daemon.say("pause", "--now")
    daemon.hear(b'record {"stage":"paused"')
    assert "paused" in daemon.say("status").lower()
    daemon.end()  # SIGKILL, and the pause continues without it
    daemon.say("resume")
    assert val_bpb(Daemon(tmp_path / "run", small_corpus)) == whole
    found = records(tmp_path / "run")
    begun = [(r.trial, r.continues) for r in found if isinstance(r, TrialStarted)][:3]
    assert begun == [(1, False), (1, True), (1, True)]
    first, second = [r.suspended for r in found if isinstance(r, TrialSuspended)]
    assert 0 < first.step < second.step < STEPS
    assert len([r for r in found if isinstance(r, Paused)]) == 2
    (ended,) = [r for r in found if isinstance(r, TrialEnded)]
    assert isinstance(ended.outcome, Measurement)
    assert ended.outcome.trial_wall_s > second.trial_wall_s > first.trial_wall_s
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_sigterm_waits_for_drain_max_s_and_the_next_start_goes_on(
    tmp_path: Path, small_corpus: Path, whole: float
) -> None:
    daemon = Daemon(tmp_path / "run", small_corpus, drain_max_s=0.3)
    for _ in range(3):
        daemon.hear(b"progress")
    daemon.process.send_signal(signal.SIGTERM)
    daemon.hear(b'record {"stage":"stopped"')
    assert daemon.process.wait(60) == 0
    daemon.end()
    aside, stopped = records(tmp_path / "run")[-2:]
    assert isinstance(aside, TrialSuspended)
    assert isinstance(stopped, Stopped)
    assert stopped.reason == "SIGTERM"
    assert val_bpb(Daemon(tmp_path / "run", small_corpus)) == whole


def test_the_daemon_is_killed_while_the_checkpoint_is_written(tmp_path: Path, small_corpus: Path, whole: float) -> None:
    """Killed at any moment of it: the next start resumes the trial or starts it over."""
    run_dir = tmp_path / "run"
    daemon = Daemon(run_dir, small_corpus)
    for _ in range(3):
        daemon.hear(b"progress")
    (run_dir / "pause.flag").write_text("now")
    while not (run_dir / "checkpoint").exists():
        assert daemon.process.poll() is None
        os.sched_yield()
    daemon.end()
    (run_dir / "pause.flag").unlink()
    assert val_bpb(Daemon(run_dir, small_corpus)) == whole
