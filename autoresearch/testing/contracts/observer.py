"""The ``Observer`` port: it takes whatever happens without an exception, and shows no hostile text as it came."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Cause, Failure, Suspended
from autoresearch.core.ports import Observer, Progress, Reply
from autoresearch.core.records import Event, Paused, Resumed, Started, Stopped, TrialEnded, TrialSuspended
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.testing.scripted_proposer import ScriptedProposer
from rails import default_menu

TS = "2026-11-20T22:00:00Z"
ITERS = 6
# Clears a screen, sets a window's title, goes back in the line, reverses the text, ends a line, is not UTF-8.
HOSTILE = "\x1b[2J\x1b]0;owned\x07\rAll is well\n\x9b2J\u202e\x00\ud800 [red]<b>%s{}"
RAW = re.compile("\x1b\\[2J|\x1b\\]0|\x07|\r|\x9b|\u202e|\x00|\ud800|^All is well", re.MULTILINE)

STAMPED: tuple[Event, ...] = (
    Paused(ts=TS, reason=HOSTILE, completed_iters=0, requested_iters=ITERS),
    Resumed(ts=TS, paused_s=1.0),
    Stopped(ts=TS, reason=HOSTILE, completed_iters=0, requested_iters=ITERS),
)
STRANGE_PROGRESS = (
    Progress(0, "train", 0.0, 0, None),
    Progress(1, "train", 0.5, 10, 1e9),
    Progress(1, "validate", 1.0, 20, 0.0),
    Progress(10**9, HOSTILE, 7.0, -1, -5.0),
    Progress(1, "train", float("nan"), 10, float("inf")),
)


@cache
def hostile_night() -> tuple[Event, ...]:
    """What a run records in which everything that others write is hostile, with each way to close an iteration."""
    fields = {"iters": ITERS, "baseline": default_menu().defaults, "limits": {"max_attempts": 2}}
    settings = Settings.model_validate(fields)
    proposals = [
        {"knob": "lr", "new_value": 1e-3, "reason": "the rails refuse hostile reasons"},
        {"knob": "n_layer", "new_value": 6, "reason": "this one fails"},
        {"knob": HOSTILE, "new_value": 1, "reason": "a knob that does not exist"},
        {"knob": "precision", "new_value": HOSTILE, "reason": "a value that does not exist"},
    ]
    replies: list[str | Reply | Exception] = [*map(json.dumps, proposals), ConnectionError(HOSTILE)]

    def fails(cfg: Cfg) -> Failure | None:
        return Failure(cause=Cause.CRASHED, detail=HOSTILE, stderr_tail=HOSTILE) if cfg["n_layer"] == 6 else None

    loop = fake_loop(settings, ScriptedProposer(replies), FakeTrial(fail=fails))
    loop.run()
    assert isinstance(loop.observer, RecordingObserver)
    return tuple(loop.observer.events)


class ObserverContract:
    """For every subclass of ``autoresearch.core.ports.Observer``."""

    @pytest.fixture
    def observer(self) -> Any:
        """An observer of a run that begins."""
        raise NotImplementedError

    def output(self, observer: Observer) -> str:
        """All text that the observer has shown or sent up to now."""
        return ""

    @pytest.fixture
    def events(self) -> tuple[Event, ...]:
        """A night of hostile text, from its first record."""
        return hostile_night()

    def test_a_whole_night_of_hostile_text_raises_nothing_and_acts_on_no_terminal(
        self, observer: Observer, events: tuple[Event, ...]
    ) -> None:
        trajectory = Trajectory()
        observer.notify(HOSTILE)
        observer.preparing(HOSTILE, 0.5)
        observer.preparing("tokenizing", 1.0)
        observer.opened(trajectory)
        for event in events:
            trajectory.add(event)
            observer.recorded(event)
            observer.heartbeat("")
            for progress in STRANGE_PROGRESS:
                observer.progressed(progress)
        observer.heartbeat(HOSTILE)
        for reason in (HOSTILE, HOSTILE, ""):
            observer.waiting(reason)
        observer.notify(HOSTILE)
        assert not RAW.findall(self.output(observer))

    def test_a_pause_and_a_stop_for_hostile_reasons(self, observer: Observer, events: tuple[Event, ...]) -> None:
        for event in (*events[:2], *STAMPED):
            observer.recorded(event)
        assert not RAW.findall(self.output(observer))

    def test_a_suspended_trial_with_a_hostile_problem(self, observer: Observer, events: tuple[Event, ...]) -> None:
        where = Suspended(step=7, resumes_at=None, train_wall_s=1.0, val_wall_s=0.0, problem=HOSTILE)
        for event in events:
            if isinstance(event, TrialEnded):
                fields = {"ts": TS, "trial": event.trial, "iter": event.iter, "seed": event.seed}
                observer.recorded(TrialSuspended.model_validate({**fields, "suspended": where}))
                break
            observer.recorded(event)
        assert not RAW.findall(self.output(observer))

    def test_nothing_needs_to_have_happened_before(self, observer: Observer) -> None:
        """Each callback may be the first: a run may be stopped, or may fail, before it is opened."""
        observer.heartbeat("SIGTERM")
        observer.heartbeat("")
        for progress in STRANGE_PROGRESS:
            observer.progressed(progress)
        observer.preparing("", float("nan"))
        observer.notify("")
        observer.opened(Trajectory())

    def test_the_trajectory_is_not_changed(self, observer: Observer, events: tuple[Event, ...]) -> None:
        trajectory = Trajectory.fold(events)
        before = list(trajectory.iterations)
        observer.opened(trajectory)
        observer.recorded(
            Started(
                ts=TS,
                pid=1,
                host=HOSTILE,
                boot_id="boot",
                autoresearch_version="0",
                proposer=HOSTILE,
                iters_requested=ITERS,
            )
        )
        observer.heartbeat("SIGTERM")
        assert trajectory.iterations == before
