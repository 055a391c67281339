"""Side trials: suspended and resumed as trials of iterations are, with the same result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.climb import SideNeeded
from autoresearch.core.loop import Loop
from autoresearch.core.recorded_run import EndOfRun
from autoresearch.core.records import Event, Paused, SideTrial, SideTrialStarted, SideTrialSuspended
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.side_trials import run_side_trials
from autoresearch.report.verify_side import check_side_trial
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.scripted_proposer import ScriptedProposer

Make = Callable[..., Settings]


def side_loop(make_settings: Make, trajectory: Trajectory | None = None) -> Loop:
    return fake_loop(make_settings(iters=1), ScriptedProposer([]), FakeTrial(takes_s=0.004), trajectory=trajectory)


def one_trial(run: Trajectory) -> SideNeeded | None:
    cfg = dict(run.meta.baseline_cfg) if run.meta else {}
    return None if run.side_trials else SideNeeded("race", 0, 5000, cfg)


def request_at(loop: Loop, step: int, **request: Any) -> None:
    """Request a pause or a stop, inside the trial, when it reaches ``step``."""

    def progressed(progress: Any) -> None:
        if progress.step == step:
            for name, value in request.items():
                setattr(loop.control, name, value)

    loop.observer.progressed = progressed  # type: ignore[method-assign]


def recorded(loop: Loop) -> list[Event]:
    return loop.observer.events[1:]  # type: ignore[attr-defined,no-any-return]


def test_a_pause_suspends_the_trial_and_its_result_is_the_same(make_settings: Make) -> None:
    calm = side_loop(make_settings)
    run_side_trials(calm, one_trial)
    loop = side_loop(make_settings)
    request_at(loop, 2, pause="dinner", now=True)
    run_side_trials(loop, one_trial)
    records = recorded(loop)
    kinds = [type(r).__name__ for r in records]
    assert kinds == ["SideTrialStarted", "SideTrialSuspended", "Paused", "Resumed", "SideTrialStarted", "SideTrial"]
    assert [r.continues for r in records if isinstance(r, SideTrialStarted)] == [False, True]
    assert {getattr(r, "side_trial", 1) for r in records} == {1}
    ended, undisturbed = loop.trajectory.side_trials[0].outcome, calm.trajectory.side_trials[0].outcome
    assert ended.loss == undisturbed.loss
    folded = Trajectory.fold(loop.observer.events)  # type: ignore[attr-defined]
    assert (folded.side_suspended, folded.side_running) == (None, None)


def test_a_pause_that_may_wait_waits_for_the_end_of_the_trial(make_settings: Make) -> None:
    loop = side_loop(make_settings)
    request_at(loop, 2, pause="dinner")
    run_side_trials(loop, one_trial)
    assert [type(r) for r in recorded(loop)] == [SideTrialStarted, SideTrial]


def test_a_stop_suspends_it_and_the_next_start_resumes_it(make_settings: Make) -> None:
    loop = side_loop(make_settings)
    request_at(loop, 2, stop="SIGTERM", now=True)
    with pytest.raises(EndOfRun, match="SIGTERM"):
        run_side_trials(loop, one_trial)
    assert isinstance(recorded(loop)[-1], SideTrialSuspended)
    again = side_loop(make_settings, loop.trajectory)
    run_side_trials(again, one_trial)
    assert [r.continues for r in again.observer.events if isinstance(r, SideTrialStarted)] == [True]  # type: ignore[attr-defined]
    assert not [r for r in again.observer.events if isinstance(r, Paused)]  # type: ignore[attr-defined]
    (ended,) = loop.trajectory.side_trials
    assert (ended.side_trial, ended.outcome.trial_wall_s) == (1, 0.003)


def test_another_trial_does_not_resume_from_it(make_settings: Make) -> None:
    loop = side_loop(make_settings)
    request_at(loop, 2, stop="SIGTERM", now=True)
    with pytest.raises(EndOfRun):
        run_side_trials(loop, one_trial)
    again = side_loop(make_settings, loop.trajectory)
    cfg = dict(again.baseline_cfg)
    run_side_trials(again, lambda run: None if run.side_trials else SideNeeded("climb", 0, 3000, cfg))
    assert [r.continues for r in again.observer.events if isinstance(r, SideTrialStarted)] == [False]  # type: ignore[attr-defined]


def test_verify_finds_a_suspension_of_another_trial(make_settings: Make) -> None:
    loop = side_loop(make_settings)
    request_at(loop, 2, pause="dinner", now=True)
    run_side_trials(loop, one_trial)
    meta, begun, aside = loop.observer.events[:3]  # type: ignore[attr-defined]
    run = Trajectory.fold([meta, begun])
    assert check_side_trial(aside, run) is None
    found = check_side_trial(aside.model_copy(update={"seed": 7}), run)
    assert found is not None
    assert found.field == "side_trial_suspended.seed"
