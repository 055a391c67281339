"""What a hook is told of a run, and when: real records of the loop, with a list where the hook would be."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.config.settings import HOOK_EVENTS, Settings
from autoresearch.core.loop import MAX_PROPOSER_FAILURES
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.records import Evaluated, Event, Paused, Stopped
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon import service
from autoresearch.daemon.hooks import Hooks
from autoresearch.daemon.hooks.notice import REASON_CELLS, Notice, RunInfo, build_notice
from autoresearch.errors import BaselineFailed, ConfigError, LockHeld
from autoresearch.testing.fake_backend import fake_backend
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.testing.scripted_proposer import ScriptedProposer

TS = "2026-11-21T22:00:00Z"
AROUND = RunInfo("box", "/night", "tiny", 2)
FROM = 3e-4  # the baseline's learning rate


def say(new_value: float) -> str:
    return json.dumps({"knob": "lr", "new_value": new_value, "reason": "a hunch"})


BETTER, WORSE = say(3e-3), say(1e-4)


def records_of(settings: Settings, *replies: str | Exception, trial: FakeTrial | None = None) -> list[Event]:
    """What the loop writes when these are proposed."""
    loop = fake_loop(settings, ScriptedProposer(list(replies)), trial)
    loop.run()
    assert isinstance(loop.observer, RecordingObserver)
    return loop.observer.events


def told_of(settings: Settings, events: Iterable[Event], end: BaseException | None = None) -> list[Notice]:
    told: list[Notice] = []
    hooks, trajectory = Hooks(settings, pytest.fail, told.append), Trajectory()
    with suppress(*([type(end)] if end else [])), hooks:
        hooks.opened(trajectory)
        for event in events:
            trajectory.add(event)
            hooks.recorded(event)
        if end:
            raise end
    return told


@pytest.fixture
def settings(make_settings) -> Settings:
    return make_settings({"baseline.lr": FROM}, on_event="true", iters=2)


def test_a_better_configuration_and_the_end(settings):
    events = records_of(settings, BETTER, WORSE)
    best = next(e for e in events if isinstance(e, Evaluated))
    told = told_of(settings, events)
    assert [n.event for n in told] == ["best", "finished"]
    assert told[0].message.startswith(f"best: lr = 0.003, val_bpb {best.val_bpb:.4f}, ")
    assert told[0].message.endswith("% below the baseline (iteration 1 of 2)")
    assert (told[0].iteration, told[0].change, told[0].val_bpb) == (1, "lr = 0.003", best.val_bpb)
    assert told[0].best == {
        "iteration": 1,
        "change": "lr = 0.003",
        "val_bpb": best.val_bpb,
        "improvement_frac": best.improvement_frac,
        "marks": [],
        "baseline_marks": [],
    }
    assert told[1].message.startswith("finished: complete, 2 of 2 iterations closed; best: lr = 0.003")
    assert (told[1].iteration, told[1].iterations_closed, told[1].best) == (None, 2, told[0].best)


def test_a_night_without_a_keep(settings):
    told = told_of(settings, records_of(settings, WORSE, say(1.1e-4)))
    assert [n.event for n in told] == ["finished"]
    assert "no keep, the baseline's 2.0" in told[0].message
    assert told[0].best is None


def test_a_trial_that_failed(settings):
    def fail(cfg: dict[str, object]) -> Failure | None:
        return None if cfg["lr"] == FROM else Failure(cause=Cause.OUT_OF_MEMORY, detail="no room")

    told = told_of(settings, records_of(settings, BETTER, WORSE, trial=FakeTrial(fail=fail)))
    assert [n.event for n in told] == ["failed", "failed", "finished"]
    assert told[0].message == "failed: lr = 0.003: " + told[0].reason + " (iteration 1 of 2)"
    assert told[0].reason.startswith(f"{Cause.OUT_OF_MEMORY}: ")
    assert told[0].val_bpb is None


def test_a_pause_a_stop_and_how_the_night_can_die(settings):
    begun = records_of(settings, BETTER, WORSE)[:-1]
    counts = {"completed_iters": 2, "requested_iters": 2}
    pause = Paused(ts=TS, reason="pause.flag", **counts)
    stop = Stopped(ts=TS, reason="SIGTERM", **counts)
    assert told_of(settings, [*begun, pause])[-1].message == "paused: pause.flag, after 2 of 2 iterations"
    assert told_of(settings, [*begun, stop])[-1].message.startswith("finished: a stop was requested (SIGTERM), 2 of 2")
    died = told_of(settings, begun, BaselineFailed("the baseline failed"))[-1]
    assert (died.event, died.reason) == ("died", "the baseline failed")
    crashed = told_of(settings, begun, ZeroDivisionError("division by zero"))[-1]
    assert (crashed.event, crashed.reason) == ("died", "ZeroDivisionError: division by zero")


@pytest.mark.parametrize("end", [KeyboardInterrupt(), SystemExit(3), LockHeld("held")])
def test_an_interrupt_and_a_held_lock_are_not_reported_as_died(settings, end):
    assert told_of(settings, records_of(settings, WORSE, WORSE)[:3], end) == []


def test_a_proposer_that_only_fails_is_a_death_though_the_loop_ended_in_good_order(make_settings):
    settings = make_settings(on_event="true", iters=10)
    broken = [RuntimeError("no idea")] * MAX_PROPOSER_FAILURES
    told = told_of(settings, records_of(settings, *broken))
    assert [n.event for n in told] == ["failed"] * MAX_PROPOSER_FAILURES + ["died"]
    assert told[0].message.startswith("failed: no proposal: ")


def test_only_the_requested_events_are_sent(make_settings):
    settings = make_settings({"baseline.lr": FROM}, on_event="true", iters=2, on_event_only="finished, died")
    assert settings.on_event_only == ("finished", "died")
    assert [n.event for n in told_of(settings, records_of(settings, BETTER, WORSE))] == ["finished"]
    for wrong in ("finish", "", ["best", 3]):
        with pytest.raises(ConfigError):
            make_settings(on_event_only=wrong)


@pytest.mark.parametrize("command", ["", "  ", [], [""], "a\0b", 'unclosed "quote'])
def test_what_is_not_a_command_is_refused(make_settings, command):
    with pytest.raises(ConfigError):
        make_settings(on_event=command)


def test_a_missing_command_is_reported_and_the_run_continues(make_settings):
    said: list[str] = []
    settings = make_settings(on_event="/no/such/hook --loud")
    with Hooks(settings, said.append) as hooks:
        assert service.run(settings, hooks, make_backend=fake_backend) == "complete"
    assert said[0] == "on_event: /no/such/hook does not exist or cannot be executed"


def test_a_continued_night_knows_what_was_before(settings, make_settings):
    """The best of the first evening is not announced again, and counts go on."""
    first: list[Notice] = []
    with Hooks(settings, pytest.fail, first.append) as hooks:
        service.run(settings, hooks, make_backend=fake_backend)
    longer = make_settings({"baseline.lr": FROM}, on_event="true", iters=4)
    second: list[Notice] = []
    with Hooks(longer, pytest.fail, second.append) as hooks:
        service.run(longer, hooks, make_backend=fake_backend)
    assert (first[-1].iterations_closed, second[-1].iterations_closed) == (2, 4)
    assert first[-1].run_id == second[-1].run_id
    bests = [n.best["val_bpb"] for n in [*first, *second] if n.event == "best" and n.best]
    assert bests == sorted(bests, reverse=True)


def test_died_is_sent_although_the_trajectory_is_unreadable(settings):
    shutil.rmtree(settings.run_dir, ignore_errors=True)
    settings.run_dir.mkdir(parents=True)
    (settings.run_dir / "trajectory.jsonl").write_bytes(b"nonsense\nmore\n")
    (died,) = told_of(settings, [], ConfigError("the log is damaged"))
    assert (died.event, died.run_id, died.iterations_closed) == ("died", None, 0)


@given(st.text(max_size=2000))
def test_a_notice_is_one_line_of_json_without_control_characters(reason):
    for event in HOOK_EVENTS:
        notice = build_notice(event, reason, Trajectory(), AROUND, TS)
        text = json.dumps(asdict(notice), allow_nan=False)
        assert "\n" not in text
        assert notice.message.isprintable()
        assert len(notice.reason) <= REASON_CELLS + 1


def test_the_last_hooks_are_waited_for_with_signs_of_life(make_settings, monkeypatch):
    monkeypatch.setattr("autoresearch.daemon.hooks.runner.POLL_S", 0.02)
    told: list[str] = []
    settings = make_settings(on_event=[sys.executable, "-c", "import time; time.sleep(0.2)"], iters=1)
    with Hooks(settings, pytest.fail, heartbeat=told.append) as hooks:
        service.run(settings, hooks, make_backend=fake_backend)
    assert len(told) >= 2
