"""SIGKILL at random moments: whatever was acknowledged is there once, and the run comes to its end without a gap."""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from autoresearch.core.records import Evaluated, LoopComplete, Meta, Proposed, TrialEnded, TrialStarted, decode
from autoresearch.core.trajectory import Trajectory
from autoresearch.storage.journal import read

DAEMON = Path(__file__).with_name("fake_daemon.py")


def check_whole(run_dir: Path, iters: int, acknowledged: list[str]) -> list[Any]:
    """The laws of a run that was killed and restarted until it was complete; its records."""
    contents = read(run_dir / "trajectory.jsonl")
    assert contents.torn == b""
    payloads = [payload.decode() for payload in contents.payloads]
    times = Counter(payloads)
    assert {payload: times[payload] for payload in acknowledged if times[payload] != 1} == {}
    assert [p for p in payloads if p in set(acknowledged)] == acknowledged, "in the order in which they were made"
    records = [decode(payload) for payload in payloads]
    trajectory = Trajectory.fold(records)
    closed = [r.iter for r in trajectory.iterations]
    assert closed == list(range(1, iters + 1))
    assert [r.iter for r in records if isinstance(r, Proposed)] == closed, "no iteration was proposed twice"
    assert sum(isinstance(r, Meta) for r in records) == 1
    assert isinstance(records[-1], LoopComplete)
    begun = [r.trial for r in records if isinstance(r, TrialStarted)]
    assert begun == list(range(1, len(begun) + 1))
    measured = [r for r in records if isinstance(r, TrialEnded)]
    assert len(measured) == iters + 1, "the baseline and each candidate once"
    judged = [r for r in records if isinstance(r, Evaluated)]
    assert len({json.dumps(r.candidate_cfg) for r in judged}) == iters, "nothing was tried twice"
    return records


def left_over(session: int) -> list[int]:
    """Processes of a session whose leader has ended."""
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            if os.getsid(pid) == session:
                found.append(pid)
        except ProcessLookupError:
            continue
    return found


def ends(pid: int) -> bool:
    """Wait for the end of a process that is not our child."""
    try:
        end = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([end], [], [], 60)[0])
    finally:
        os.close(end)


@pytest.mark.parametrize(
    ("iters", "kills", "torn"), [(40, 50, 5), pytest.param(150, 200, 20, marks=pytest.mark.slow)], ids=["50", "200"]
)
def test_kills_at_random_moments_lose_nothing(tmp_path: Path, iters: int, kills: int, torn: int) -> None:
    seed = 20261120
    command = [sys.executable, DAEMON, "storm", tmp_path / "run", str(iters), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        output, _ = process.communicate()
    assert process.returncode == 0
    counts = json.loads(output)
    assert counts["kills"] >= kills
    assert counts["torn"] >= torn
    check_whole(tmp_path / "run", iters, counts["acknowledged"])
    assert list((tmp_path / "run").glob("trajectory.jsonl.torn-*")), "what was cut off is kept"
    for pid in left_over(process.pid):  # at most the writer of a report whose daemon was killed meanwhile
        assert ends(pid), f"process {pid} outlived its daemon"


WARM = "autoresearch.training.server"


def records_until_killed(daemon: subprocess.Popen[str], trials: int, lines: int) -> tuple[list[str], list[str]]:
    """Kill it some lines after the start of its ``trials``th trial; its records, and its children."""
    assert daemon.stdout is not None
    heard: list[str] = []
    for line in daemon.stdout:
        heard.append(line)
        begun = [n for n, text in enumerate(heard) if text.startswith('record {"stage":"trial_started"')]
        if len(begun) >= trials and len(heard) > begun[trials - 1] + lines:
            break
    children = psutil.Process(daemon.pid).children(recursive=True)
    commands = [" ".join(child.cmdline()) for child in children]
    daemon.kill()
    heard += list(daemon.stdout)
    for child in children:
        assert ends(child.pid), f"one of {commands} outlived its daemon"
    return [text.removeprefix("record ").rstrip("\n") for text in heard if text.startswith("record ")], commands


@pytest.mark.slow
def test_ten_kills_in_real_trials_lose_nothing_and_leave_no_process(
    tmp_path: Path, small_corpus: Path, quick_trials: dict[str, Any]
) -> None:
    iters, dice = 6, random.Random(20261120)
    settings = json.dumps({**quick_trials, "corpus": str(small_corpus)})
    command = [sys.executable, str(DAEMON), "real", str(tmp_path / "run"), str(iters), settings]
    acknowledged: list[str] = []
    daemons = []
    for _ in range(10):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
            heard, commands = records_until_killed(daemon, trials=dice.choice([1, 1, 2]), lines=dice.randrange(4))
            daemons.append(daemon.pid)
        acknowledged += heard
        assert len([c for c in commands if WARM in c]) in (1, 2), "the warm server, and the trial if it was running"
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    acknowledged += [s.removeprefix("record ") for s in done.stdout.splitlines() if s.startswith("record ")]
    records = check_whole(tmp_path / "run", iters, acknowledged)
    assert len({r.outcome.val_bpb for r in records if isinstance(r, TrialEnded)}) == iters + 1
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        assert not (WARM in words and set(map(str, daemons)) & set(words)), f"{words} outlived its daemon"
