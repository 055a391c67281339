"""Trials that a pause, a stop, a kill or a power cut interrupts under a real systemd, and that continue afterwards.

Each test has a run of its own in one machine (``systemd_sandbox``).
"""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime
from typing import Any

import pytest

from autoresearch.core.measurement import Measurement
from autoresearch.core.records import (
    Evaluated,
    Paused,
    Resumed,
    Started,
    Stopped,
    TrialEnded,
    TrialStarted,
    TrialSuspended,
)
from tests.fake_llm import FakeLlm, says
from tests.systemd_night import check_whole, in_a_trial, last, main_pid, mid_training, server_and_trial
from tests.systemd_sandbox import DEADLINE_S, Sandbox, have_ended, until, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=f"no systemd can be booted here: {why_not()}"),
]

SMALL = {
    "baseline__n_layer": 1,
    "baseline__d_model": 64,
    "baseline__batch_size": 2,
    "baseline__seq_len": 64,
}
STEPS = {"budget__kind": "steps", **SMALL}
ENDLESS_STEPS = 10_000_000  # no trial of a test gets there
TRIAL_S = 12.0  # of training: long enough to type a command meanwhile, on a busy machine


def of_kind(found: list[Any], kind: type) -> list[Any]:
    return [r for r in found if isinstance(r, kind)]


def count(box: Sandbox, name: str, kind: type) -> int:
    return len(of_kind(box.records(name), kind))


def kill_daemon(box: Sandbox, name: str) -> None:
    """SIGKILL; every process of the run ends with its daemon, and systemd starts it again."""
    starts = count(box, name, Started)
    ends = [os.pidfd_open(pid) for pid in box.processes(name)]
    os.kill(main_pid(box, name), signal.SIGKILL)
    assert have_ended(ends)
    last(box, name, Started, more_than=starts)


def test_pause_now_suspends_the_trial_which_continues_over_a_stop_a_resume_and_a_kill(box: Sandbox, start: Any) -> None:
    name = start("pausenow", seconds=TRIAL_S, **SMALL)
    run_dir = f"/var/lib/autoresearch/{name}"
    mid_training(box, name)
    assert "pauses inside its running trial" in box.autoresearch("pause", "--now", run_dir, user="ann").stdout
    last(box, name, Paused)
    suspended, paused = box.records(name)[-2:]
    assert isinstance(suspended, TrialSuspended)
    assert isinstance(paused, Paused)
    step = suspended.suspended.resumes_at
    assert step == suspended.suspended.step > 0
    assert (box.state / name / "checkpoint").is_dir()
    until("the trial's end", lambda: server_and_trial(box, name)[1] is None)
    status = box.show(name, "StatusText")
    assert "paused: pause.flag is there" in status
    assert f"its suspended trial resumes after step {step}" in status

    box.systemctl("stop", f"autoresearch@{name}")
    assert isinstance(box.records(name)[-1], Stopped)
    assert box.show(name, "Result") == "success"
    box.systemctl("start", f"autoresearch@{name}")
    last(box, name, Paused, more_than=1)
    assert count(box, name, TrialStarted) == 1, "it is paused still"
    assert f"its suspended trial resumes after step {step}" in box.journal(name)

    box.autoresearch("resume", run_dir, user="ann")
    assert last(box, name, TrialStarted, more_than=1).continues
    mid_training(box, name, after=suspended.suspended.train_wall_s / TRIAL_S)
    kill_daemon(box, name)
    assert last(box, name, TrialStarted, more_than=2).continues
    ended = last(box, name, TrialEnded)
    assert box.show(name, "NRestarts") == "1"
    found = check_whole(box, name)
    assert isinstance(ended.outcome, Measurement)
    assert ended.outcome.train_steps > step
    assert ended.outcome.train_wall_s >= TRIAL_S
    assert [(t.trial, t.seed) for t in of_kind(found, TrialStarted)[:3]] == [(1, 0)] * 3
    assert count(box, name, TrialSuspended) == 1


def test_a_trial_longer_than_drain_max_s_is_suspended_by_a_stop_and_continues_over_reboots(
    box: Sandbox, start: Any
) -> None:
    """A drain may take longer than TimeoutStopSec, which the daemon extends; the trial itself would take days."""
    drain_s, unit = 6, "autoresearch@drainmax.service"
    box.drop_in("stop", "[Service]\nTimeoutStopSec=4\n", unit)
    name = start("drainmax", drain_max_s=drain_s, budget__size=ENDLESS_STEPS, limits__deadline_s=86400, **STEPS)
    box.systemctl("enable", "--quiet", unit)
    mid_training(box, name)
    began = datetime.now(UTC)
    box.systemctl("stop", unit)
    assert box.show(name, "Result") == "success"
    assert box.processes(name) == {}
    suspended, stopped = box.records(name)[-2:]
    assert isinstance(suspended, TrialSuspended)
    assert isinstance(stopped, Stopped)
    assert stopped.reason == "SIGTERM"
    assert (datetime.fromisoformat(suspended.ts) - began).total_seconds() >= drain_s
    step = suspended.suspended.resumes_at
    assert step == suspended.suspended.step > 0
    journal = box.journal(name)
    assert f"a running trial is suspended if it has not ended in {drain_s} s; the next start resumes it" in journal
    assert f"the running trial is suspended after step {step}" in journal

    for boots in (2, 3):  # after the stop; then cut off from its power within the trial
        box.power_cut()
        box.boot()
        until("the start at boot", lambda: box.show(name, "ActiveState") == "active")
        assert last(box, name, TrialStarted, more_than=boots - 1).continues
        assert f"its suspended trial resumes after step {step}" in box.journal(name)
        mid_training(box, name, after=step / ENDLESS_STEPS)
    found = check_whole(box, name)
    assert len({s.boot_id for s in of_kind(found, Started)}) == len(of_kind(found, Started)) == 3
    assert [(t.trial, t.iter, t.seed) for t in of_kind(found, TrialStarted)] == [(1, 0, 0)] * 3
    assert not of_kind(found, TrialEnded)
    box.systemctl("disable", "--quiet", unit)


def test_a_candidate_paused_and_killed_between_two_seeds_goes_on_with_the_same_seeds(box: Sandbox, start: Any) -> None:
    """Rule sequential. The baseline hardly learns, so that the change proposed here always needs all of its seeds."""
    change = json.dumps({"knob": "lr", "new_value": 0.01, "reason": "the baseline hardly learns"})
    with FakeLlm(says(change)) as llm:
        server = {"proposer": "nim", "llm__base_url": llm.base_url, "llm__rounds": 1}
        rule = {"decision__rule": "sequential", "decision__baseline_seeds": 1, "decision__max_seeds": 4}
        budget = {"budget__size": 100, "baseline__lr": 1e-4, "decision__vault": "off", "iters": 1}
        name = start("seeds", **server, **rule, **budget, **STEPS)
        flag = box.state / name / "pause.flag"
        in_a_trial(box, name)
        flag.touch()
        paused = last(box, name, Paused)
        found = box.records(name)
        assert isinstance(found[found.index(paused) - 1], TrialEnded)
        assert 1 <= sum(t.iter == 1 for t in of_kind(found, TrialEnded)) < 4, "some of its four seeds are measured"
        assert not of_kind(found, Evaluated), "its iteration is open"
        kill_daemon(box, name)  # between two seeds
        last(box, name, Paused, more_than=1)
        flag.unlink()
        last(box, name, Resumed)
        in_a_trial(box, name)
        interrupted = of_kind(box.records(name), TrialStarted)[-1]
        kill_daemon(box, name)  # within the trial of a seed
        evaluated = last(box, name, Evaluated, deadline_s=2 * DEADLINE_S)
    found = check_whole(box, name)
    assert len(of_kind(found, Evaluated)) == 1
    started = [t for t in of_kind(found, TrialStarted) if t.iter == 1]
    assert {t.cfg["lr"] for t in started} == {0.01}
    assert [t.seed for t in of_kind(found, TrialEnded) if t.iter == 1] == [0, 1, 2, 3]
    assert sorted(t.seed for t in started) == sorted([0, 1, 2, 3, interrupted.seed]), "one trial is repeated"
    assert evaluated.evidence.seeds == (0, 1, 2, 3)
