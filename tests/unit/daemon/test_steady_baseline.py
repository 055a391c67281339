"""What happens before a disturbed baseline is measured again."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from autoresearch.core.energy_accounting import MAX_BASELINE_REPEATS
from autoresearch.core.ports import Interrupted
from autoresearch.core.records import TrialEnded
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.service import build_meta
from autoresearch.daemon.steady_baseline import WAITS_S, SteadyBaseline
from autoresearch.errors import BaselineFailed
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_trial import FakeTrial, measurement


@dataclass
class World:
    """A run whose baseline was disturbed, with a clock that only waiting moves."""

    trajectory: Trajectory
    stop: str = ""
    pause: bool = False
    waited_s: float = 0.0
    messages: list[str] = field(default_factory=list)

    def stop_reason(self) -> str:
        return self.stop

    def stop_or_pause_requested(self) -> bool:
        return bool(self.stop) or self.pause

    def sleep(self, seconds: float) -> None:
        self.waited_s += 10

    def trial(self) -> SteadyBaseline:
        clock = lambda: self.waited_s  # noqa: E731
        return SteadyBaseline(FakeTrial(), self.trajectory, self, self.messages.append, clock, self.sleep)

    def disturb(self, times: int = 1, seed: int = 0, iteration: int = 0) -> None:
        fixed = {"ts": "", "outcome": measurement(2.0), "marks": ("contended",), "void": True}
        self.trajectory.voided += [TrialEnded(trial=n, iter=iteration, seed=seed, **fixed) for n in range(times)]


@pytest.fixture
def world(make_settings):
    def make(wanted: str, kind: str = "seconds") -> World:
        settings = make_settings({"budget.disturbed_baseline": wanted})
        yardstick = YARDSTICK.model_copy(update={"budget_kind": kind})
        return World(Trajectory.fold([build_meta(settings, build_policy(settings), yardstick)]))

    return make


def measure(trial: SteadyBaseline, world: World) -> None:
    assert world.trajectory.meta is not None
    assert trial.measure(world.trajectory.meta.baseline_cfg, 0, lambda *_: None)


@pytest.mark.parametrize("wanted", ["wait", "repeat", "refuse"])
def test_an_undisturbed_one_is_measured_at_once(world, wanted: str) -> None:
    here = world(wanted)
    measure(here.trial(), here)
    assert (here.waited_s, here.messages) == (0, [])


def test_each_wait_is_longer_than_the_last_and_an_hour_is_all(world) -> None:
    here = world("wait")
    trial, waits = here.trial(), []
    for _ in range(MAX_BASELINE_REPEATS):
        here.disturb()
        before = here.waited_s
        measure(trial, here)
        waits.append(here.waited_s - before)
    assert waits == list(WAITS_S)
    assert sum(waits) == 3600
    assert here.messages[0] == "the baseline ran contended: it is measured again in 60 s, on a quieter machine"


def test_repeating_does_not_wait(world) -> None:
    here = world("repeat")
    here.disturb(3)
    measure(here.trial(), here)
    assert here.waited_s == 0


def test_a_stop_ends_the_wait_and_a_pause_is_left_to_the_loop(world) -> None:
    here = world("wait")
    here.disturb()
    here.pause = True
    measure(here.trial(), here)
    here.stop = "SIGTERM"
    with pytest.raises(Interrupted, match="SIGTERM"):
        measure(here.trial(), here)
    assert here.waited_s == 0


def test_refusing_ends_the_run_after_as_many_tries_of_this_process(world) -> None:
    here = world("refuse")
    here.disturb(40)  # of earlier processes
    trial = here.trial()
    here.disturb(MAX_BASELINE_REPEATS)
    measure(trial, here)
    here.disturb()
    with pytest.raises(BaselineFailed, match=f"ran contended in each of {MAX_BASELINE_REPEATS + 1} trials") as refusal:
        measure(trial, here)
    assert "budget.kind=flops" in refusal.value.hint


def test_each_seed_has_its_own_tries_also_one_that_a_candidate_needs_later(world) -> None:
    here = world("wait")
    trial = here.trial()
    here.disturb(2, seed=1)
    here.disturb(2, iteration=1)  # a candidate's with the same seed
    measure(trial, here)
    assert here.waited_s == 0
    here.disturb()
    measure(trial, here)
    assert here.waited_s == WAITS_S[0]


def test_a_candidate_never_waits(world) -> None:
    here = world("wait")
    here.disturb()
    assert here.trial().measure({"lr": 0.1}, 0, lambda *_: None)
    assert here.waited_s == 0
