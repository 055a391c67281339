"""The loop waits for disk space: before a trial, and before a record that could not be written."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.open_trials import is_first_of_its_cause
from autoresearch.core.records import EvalFailed, Evaluated, Paused, Resumed, Stopped, TrialEnded, TrialStarted
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.errors import JournalError
from autoresearch.testing.fake_control import FakeControl
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial, measurement
from autoresearch.testing.memory_journal import MemoryJournal
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.testing.scripted_proposer import ScriptedProposer
from tests.unit.core.loop_world import BETTER, MEASURED, NO_BETTER, Clock, Measures, only, records, stages

FULL = JournalError("cannot write trajectory.jsonl: No space left on device", hint="make room", no_space=True)
SHORT = "waits for disk space: 3.0 MiB free on /x, needs 64 MiB"


@dataclass
class FullJournal(MemoryJournal):
    """Has no space for the ``at``th record until it was tried ``tries`` times."""

    at: int = 0
    tries: int = 3

    def append(self, payload: str) -> int:
        if len(self.payloads) == self.at and self.tries:
            self.tries -= 1
            raise FULL
        return MemoryJournal.append(self, payload)


class Waits(RecordingObserver):
    def __init__(self) -> None:
        super().__init__()
        self.reasons: list[str] = []

    def waiting(self, reason: str) -> None:
        self.reasons.append(reason)


def test_a_record_waits_in_memory_and_is_written_when_there_is_space(make_settings) -> None:
    undisturbed = fake_loop(make_settings(iters=2), ScriptedProposer([BETTER, NO_BETTER]))
    undisturbed.run()
    expected = stages(undisturbed)
    for at in range(1, len(expected)):
        loop = fake_loop(make_settings(iters=2), ScriptedProposer([BETTER, NO_BETTER]))
        loop.observer, clock = Waits(), Clock()
        loop.clock, loop.journal = clock, FullJournal(loop.journal.payloads, at=at)  # type: ignore[attr-defined]
        loop.control = FakeControl(on_wait=lambda seconds, clock=clock: setattr(clock, "now", clock.now + seconds))
        assert loop.run() == "complete"
        assert [s for s in stages(loop) if s not in ("paused", "resumed")] == expected
        assert loop.observer.reasons == [f"waits for disk space: {FULL.what}"] * 3 + [""]
        if at < len(expected) - 1:  # after the last record a run has ended
            assert stages(loop)[at : at + 3] == [expected[at], "paused", "resumed"]
            assert (only(Paused, loop)[0].waits_for, only(Resumed, loop)[0].paused_s) == ("disk_space", 3.0)
        assert loop.paused_s == 3.0, "it does not count as work"


def test_other_failures_end_the_run(make_settings) -> None:
    class Broken(MemoryJournal):
        def append(self, payload: str) -> int:
            raise JournalError("cannot write: Input/output error")

    loop = fake_loop(make_settings(iters=1), ScriptedProposer([BETTER]))
    loop.journal = Broken()
    with pytest.raises(JournalError, match="Input/output error"):
        loop.run()


@pytest.mark.parametrize("on_pause", ["wait", "exit"])
def test_a_stop_or_a_pause_that_ends_the_process_ends_the_wait(make_settings, on_pause) -> None:
    loop = fake_loop(make_settings(iters=1, on_pause=on_pause), ScriptedProposer([BETTER]))
    loop.journal = FullJournal(loop.journal.payloads, at=1, tries=100)  # type: ignore[attr-defined]
    control = loop.control = FakeControl()
    control.on_wait = lambda _: setattr(control, "stop" if on_pause == "wait" else "pause", "the user")
    with pytest.raises(JournalError, match=r"ended before there was space \(the user\)"):
        loop.run()
    assert loop.journal.tries >= 98


def test_no_trial_starts_while_space_is_short(make_settings) -> None:
    loop = fake_loop(make_settings(iters=1), ScriptedProposer([BETTER]))
    short = [SHORT, SHORT, SHORT, ""]
    loop.shortage = lambda: short.pop(0) if len(short) > 1 else short[0]
    assert loop.run() == "complete"
    assert stages(loop)[:4] == ["meta", "paused", "resumed", "trial_started"]
    assert only(Paused, loop)[0].reason == SHORT


def test_a_pause_and_a_stop_are_obeyed_while_space_is_short(make_settings) -> None:
    loop = fake_loop(make_settings(iters=1), ScriptedProposer([BETTER]))
    loop.shortage = lambda: SHORT
    control = loop.control = FakeControl()
    requests = iter(["pause", "stop"])
    control.on_wait = lambda _: setattr(control, next(requests), "the user")
    assert loop.run() == "the user"
    assert [(p.waits_for) for p in only(Paused, loop)] == ["disk_space", "user", "disk_space"]
    assert isinstance(records(loop)[-1], Stopped)
    assert not only(TrialStarted, loop)


def test_an_exchange_that_could_not_be_written_asks_the_proposer_again(make_settings) -> None:
    loop = fake_loop(make_settings(iters=1), ScriptedProposer([FULL, BETTER]))
    waits: list[float] = []
    loop.control = FakeControl(on_wait=waits.append)
    assert loop.run() == "complete"
    assert [s for s in stages(loop) if s in ("paused", "resumed", "proposed")] == ["paused", "resumed", "proposed"]
    assert waits == [60.0], "a quota: each try is recorded"


@pytest.mark.parametrize("times", [1, 2])
def test_a_trial_that_met_a_full_disk_is_repeated_once(make_settings, times) -> None:
    full = [Failure(cause=Cause.DISK_FULL, detail="OSError: No space left on device")] * times

    def answer(cfg: Cfg) -> object:
        return full.pop() if full and loop.trajectory.baseline else MEASURED

    loop = fake_loop(make_settings(iters=1), ScriptedProposer([BETTER]), FakeTrial())
    loop.trial = Measures(answer)  # type: ignore[arg-type]
    assert loop.run() == "complete"
    ends = [(t.void, t.outcome.ok) for t in only(TrialEnded, loop)[1:]]
    assert ends == [(True, False), (False, times == 1)]
    assert len(only(Evaluated if times == 1 else EvalFailed, loop)) == 1


def test_a_seed_of_the_baseline_and_the_same_seed_of_a_candidate_are_each_repeated_once() -> None:
    full = Failure(cause=Cause.DISK_FULL, detail="OSError: No space left on device")
    of_baseline = TrialEnded(ts="", trial=1, iter=0, seed=3, outcome=full, void=True)
    trajectory = Trajectory(voided=[of_baseline])
    assert not is_first_of_its_cause(full, 0, 3, trajectory)
    assert is_first_of_its_cause(full, 1, 3, trajectory)
    assert not is_first_of_its_cause(measurement(2.0), 1, 3, trajectory)
