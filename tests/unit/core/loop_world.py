"""Shared by the tests of the loop: a user, a clock, trials and a journal that the test controls."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from autoresearch.config.settings import Settings
from autoresearch.core.loop import Loop
from autoresearch.core.measurement import Cause, Failure, Outcome
from autoresearch.core.ports import Interrupted, OnProgress, Progress, Reply
from autoresearch.core.records import (
    Attempt,
    Event,
    Started,
    decode,
)
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.testing.fake_control import FakeControl
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial, measurement
from autoresearch.testing.memory_journal import MemoryJournal
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.testing.scripted_proposer import ScriptedProposer

T = TypeVar("T")

FAR = {"baseline.lr": 3e-4}  # the fake's best lr is 3e-3: from here that gains 2.5%
OUT_OF_MEMORY = Failure(cause=Cause.OUT_OF_MEMORY, detail="it held too much", trial_wall_s=4.0)


def say(knob: str, value: object, reason: str = "a hunch") -> str:
    """A proposer's reply."""
    return json.dumps({"knob": knob, "new_value": value, "reason": reason})


MEASURED = measurement(2.0).model_copy(update={"train_wall_s": 7.0, "val_wall_s": 1.0, "trial_wall_s": 10.0})
BETTER = say("lr", 3e-3)
NO_BETTER = say("weight_decay", 0.1)
NOT_JSON = "I would try a higher learning rate."


def with_room_for_a_keep(make_settings: Callable[..., Settings]) -> Callable[..., Settings]:
    """Settings whose baseline leaves room for a keep, however the profile is tuned."""
    return lambda changes=None, **flags: make_settings(FAR | (changes or {}), **flags)


class Killed(BaseException):
    """SIGKILL: it cannot be caught, and nothing runs after it."""


@dataclass
class Clock:
    """A clock that the test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Measures:
    """A trial whose outcome is the result of a function; it records its arguments."""

    answer: Callable[..., Outcome]
    with_progress: bool = False
    measured: list[tuple[Cfg, int]] = field(default_factory=list)

    def measure(self, cfg: Cfg, seed: int, on_progress: OnProgress, *_: Any) -> Outcome:
        self.measured.append((cfg, seed))
        return self.answer(cfg, on_progress) if self.with_progress else self.answer(cfg)


@dataclass
class Reactions(RecordingObserver):
    """A user who acts when a certain record appears."""

    react: Callable[[Event], None] = lambda _event: None

    def recorded(self, event: Event) -> None:
        self.events.append(event)
        self.react(event)


@dataclass
class MortalJournal(MemoryJournal):
    """The process dies right after the ``last``th record is durable, before an observer receives it."""

    last: int = 10**9

    def append(self, payload: str) -> int:
        seq = MemoryJournal.append(self, payload)
        if len(self.payloads) >= self.last:
            raise Killed
        return seq


def records(loop: Loop) -> list[Any]:
    """What the journal holds, read back."""
    assert isinstance(loop.journal, MemoryJournal)
    return [decode(payload) for payload in loop.journal.payloads]


def stages(loop: Loop) -> list[str]:
    return [r.stage for r in records(loop)]


def only(kind: type[T], loop: Loop) -> list[T]:
    return [r for r in records(loop) if isinstance(r, kind)]


def started(boot_id: str, iters: int) -> Started:
    fields = {"pid": 2, "host": "desk", "autoresearch_version": "0", "proposer": "script"}
    return Started(ts="now", boot_id=boot_id, iters_requested=iters, **fields)


def restarted(loop: Loop, settings: Settings, replies: Sequence[str | Exception], boot_id: str = "boot") -> Loop:
    """Another daemon on the same journal: all it knows is what was recorded."""
    assert isinstance(loop.journal, MemoryJournal)
    assert isinstance(loop.trial, FakeTrial)
    proposer = ScriptedProposer(list(replies))
    again = fake_loop(settings, proposer, loop.trial, trajectory=Trajectory.fold(records(loop)))
    again.journal = MemoryJournal(loop.journal.payloads)
    again.boot_id = boot_id
    again.record(started(boot_id, settings.iters))
    return again


@dataclass
class Attentive(ScriptedProposer):
    """A proposer that waits for a server, sees a pause or stop request of the user (``request``), and stops waiting."""

    request: Callable[[], None] = lambda: None

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        try:
            return ScriptedProposer.propose(self, trajectory, refused)
        except Interrupted:
            self.request()
            raise


NOTICED = Interrupted("the proposer was interrupted")


@dataclass
class Hasty(RecordingObserver):
    """A user who requests an immediate stop of each of the first ``times`` trials, once it trains."""

    control: FakeControl = field(default_factory=lambda: FakeControl(now=True))
    times: int = 1
    word: str = "pause"

    def progressed(self, progress: Progress) -> None:
        if self.times:
            self.times -= 1
            setattr(self.control, self.word, "the GPU is wanted")


def hasty(loop: Loop, **how: Any) -> Loop:
    user = Hasty(**how)
    loop.observer, loop.control = user, user.control
    return loop
