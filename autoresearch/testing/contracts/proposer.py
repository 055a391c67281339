"""The ``Proposer`` port: valid proposals of its own name that are never repeated, and the same after a restart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.loop import Loop
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.ports import Exhausted, Proposer
from autoresearch.core.record_builders import build_attempt
from autoresearch.core.records import Attempt, Blocked, EvalFailed, Evaluated, IterationRecord, ProposerFailed
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.daemon.cost_check import build_cost_check
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.proposers.space import Space
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver
from rails import Config, Estimate, Rail, Verdict, default_menu, gate

BASELINE = default_menu().defaults
TINY_MENU = {
    "version": 1,
    "knobs": {
        "n_head": {"type": "choice", "choices": [4, 8, 16], "default": 16},
        "batch_size": {"type": "choice", "choices": [8, 16], "default": 16},
    },
    "constraints": [],
}
TINY_CHANGES = {("n_head", 4), ("n_head", 8), ("batch_size", 8)}

MakeProposer = Callable[[], Proposer]
RunLoop = Callable[..., Loop]  # runs the real loop over fakes for this number of iterations


def settings_for(iters: int, **changes: Any) -> Settings:
    """Settings with the menu's defaults as the baseline."""
    return Settings.model_validate({"iters": iters, "baseline": BASELINE, **changes})


def change_of(raw: str) -> tuple[object, ...]:
    """Knob and value of a proposal of one change; the pairs of one of several."""
    fields = json.loads(raw)
    if "changes" in fields:
        return tuple(sorted((change["knob"], change["new_value"]) for change in fields["changes"]))
    return fields["knob"], fields["new_value"]


def raws(iteration: IterationRecord) -> list[str]:
    return [attempt.raw for attempt in iteration.attempts]


def unlucky(cfg: Cfg) -> Failure | None:
    """Deep models do not fit, half of the learning rates are too slow."""
    if int(cfg["n_layer"]) > 24 or int(cfg["n_head"]) < 16:
        return Failure(cause=Cause.OUT_OF_MEMORY, detail="too large")
    too_slow = float(cfg["lr"]) < 3e-4 or float(cfg["beta2"]) > 0.95
    return Failure(cause=Cause.TIMEOUT, detail="too slow") if too_slow else None


def only_small(cfg: Config) -> Any:
    """What a machine with little memory answers, in place of an ``Estimator``."""
    most = {"d_model": 1024, "d_ff": 4096, "seq_len": 1024}
    is_dear = any(int(cfg[knob]) > high for knob, high in most.items()) or int(cfg["batch_size"]) < 16
    return Estimate(peak_bytes=1, time_ratio=9.0 if is_dear else 1.0)


def nothing_at_all(cfg: Config) -> Any:
    """What a machine that can train nothing answers, in place of an ``Estimator``."""
    return Estimate(peak_bytes=1, time_ratio=1.0, unsupported="nothing can be trained here")


class ProposerContract:
    """For every implementation of ``autoresearch.core.ports.Proposer``."""

    max_changes = 1  # knobs that it may change at once
    tiny_changes = TINY_CHANGES  # every change of ``TINY_MENU``

    def open_proposer(self, space: Space, seed: int, asks: int) -> Proposer:
        """The proposer as the service builds it, for a run that may ask it ``asks`` times."""
        raise NotImplementedError

    @pytest.fixture
    def run(self) -> RunLoop:
        """Runs the real loop with this proposer over fakes, to its end."""

        def run_it(iters: int, make: MakeProposer | None = None, **given: Any) -> Loop:
            settings = self.settings(iters, limits=given.pop("limits", {}))
            make = make or self.maker(settings, estimator=given.get("estimator"))
            loop = fake_loop(settings, make(), **given)
            loop.run()
            return loop

        return run_it

    @pytest.fixture
    def tiny(self, tmp_path: Path) -> Settings:
        """Two knobs of few choices: three changes, and then there is nothing left."""
        file = tmp_path / "menu.json"
        file.write_text(json.dumps(TINY_MENU))
        return self.settings(50, menu_file=file)

    def settings(self, iters: int, **changes: Any) -> Settings:
        return settings_for(iters, max_changes=self.max_changes, **changes)

    def maker(self, settings: Settings, seed: int = 0, estimator: Any = None) -> MakeProposer:
        policy = build_policy(settings)
        backend = TrialBackend(FakeTrial(), YARDSTICK, estimator)
        costs = build_cost_check(backend, settings)
        space = Space(policy.menu, policy.baseline, policy.steps, costs, self.max_changes)
        return lambda: self.open_proposer(space, seed, asks=400)

    def test_it_says_who_it_is(self, run: RunLoop) -> None:
        loop = run(2)
        name = loop.proposer.name
        assert name
        assert {attempt.source for record in loop.trajectory.iterations for attempt in record.attempts} == {name}

    def test_its_first_reply_passes_the_rails_of_a_fresh_run(self) -> None:
        settings = self.settings(1)
        loop = fake_loop(settings, self.maker(settings)())
        answer = loop.proposer.propose(loop.trajectory, [])
        assert gate(answer.raw, BASELINE, default_menu(), max_changes=self.max_changes).rail == Rail.PASSED

    def test_the_same_seed_and_trajectory_give_the_same_proposals(self, run: RunLoop) -> None:
        first, second = run(18), run(18)
        assert [raws(r) for r in first.trajectory.iterations] == [raws(r) for r in second.trajectory.iterations]

    def test_asking_twice_changes_nothing(self, run: RunLoop) -> None:
        loop = run(15)
        before = list(loop.trajectory.iterations)
        answers = [loop.proposer.propose(loop.trajectory, []) for _ in range(3)]
        assert len({(a.raw, a.others, a.source) for a in answers}) == 1
        assert loop.trajectory.iterations == before

    def test_it_never_proposes_what_the_run_knows(self, run: RunLoop) -> None:
        loop = run(30)
        attempts = [attempt for record in loop.trajectory.iterations for attempt in record.attempts]
        assert len(loop.trajectory.iterations) == 30
        assert {attempt.rail for attempt in attempts} == {Rail.PASSED}
        assert len({change_of(attempt.raw) for attempt in attempts}) == 30

    def test_it_answers_each_refusal_with_something_else(self, run: RunLoop) -> None:
        loop = run(3)
        refused: list[Attempt] = []
        for number in range(1, 13):
            answer = loop.proposer.propose(loop.trajectory, refused)
            verdict = loop.judge(answer.raw, loop.trajectory)
            over_budget = Verdict(False, Rail.R7_BUDGET, "too dear", verdict.proposal)
            refused.append(build_attempt(answer.raw, answer.source, over_budget, number))
        assert len({change_of(attempt.raw) for attempt in refused}) == 12

    def test_a_used_up_menu_ends_the_run(self, tiny: Settings) -> None:
        loop = fake_loop(tiny, self.maker(tiny)())
        assert loop.run() != "complete"
        assert {change_of(r.attempts[-1].raw) for r in loop.trajectory.iterations} == self.tiny_changes
        assert all(isinstance(r, Evaluated) for r in loop.trajectory.iterations)
        with pytest.raises(Exhausted):
            loop.proposer.propose(loop.trajectory, [])

    def test_a_machine_that_can_do_nothing_ends_the_run(self, tiny: Settings) -> None:
        one_each = tiny.model_copy(update={"limits": tiny.limits.model_copy(update={"max_attempts": 1})})
        estimator: Any = nothing_at_all
        loop = fake_loop(one_each, self.maker(one_each, estimator=estimator)(), estimator=estimator)
        assert loop.run() != "complete"
        assert all(isinstance(r, Blocked) for r in loop.trajectory.iterations)

    def test_it_survives_failures_and_blocked_iterations(self, run: RunLoop) -> None:
        loop = run(30, trial=FakeTrial(fail=unlucky), estimator=only_small, limits={"max_attempts": 1})
        iterations = loop.trajectory.iterations
        assert len(iterations) == 30
        assert not any(isinstance(r, ProposerFailed) for r in iterations)
        assert {Evaluated, EvalFailed} <= {type(r) for r in iterations}
        dear = [change_of(r.attempts[-1].raw) for r in iterations if isinstance(r, Blocked)]
        assert len(set(dear)) == len(dear)  # what R7 refused once is not proposed again
        assert not any(r.rail is Rail.R6_NOVELTY for r in iterations)

    def test_after_a_restart_it_proposes_what_it_would_have_proposed(self, run: RunLoop) -> None:
        """At every point of the run a new proposer that only sees the trajectory says what the old one said."""
        settings = self.settings(22)
        loop = run(22, trial=FakeTrial(fail=unlucky), estimator=only_small)
        so_far = Trajectory()
        assert isinstance(loop.observer, RecordingObserver)
        for event in loop.observer.events:
            if isinstance(event, IterationRecord):
                fresh = self.maker(settings, estimator=only_small)()
                for n, attempt in enumerate(event.attempts):
                    assert fresh.propose(so_far, event.attempts[:n]).raw == attempt.raw
            so_far.add(event)
        assert len(so_far.iterations) == 22


class SeededProposerContract(ProposerContract):
    """For those that choose by chance: another seed, other proposals."""

    def test_another_seed_proposes_something_else(self, run: RunLoop) -> None:
        settings = self.settings(10)
        loops = [run(10, self.maker(settings, seed)) for seed in range(3)]
        nights = {tuple(change_of(r.attempts[-1].raw) for r in loop.trajectory.iterations) for loop in loops}
        assert len(nights) == 3
