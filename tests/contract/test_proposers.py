"""What every proposer owes the loop. A new proposer is one more class at the end of this file."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.llm_calls import Classification, Message
from autoresearch.core.loop import Loop
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.ports import Exhausted, Proposer
from autoresearch.core.record_builders import build_attempt
from autoresearch.core.records import Attempt, Blocked, Closer, EvalFailed, Evaluated, ProposerFailed
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.backend import TrialBackend, refusal_for_cost
from autoresearch.daemon.policy import build_policy
from autoresearch.llm.answer import Answer
from autoresearch.proposers.hybrid import HybridProposer
from autoresearch.proposers.llm import LlmProposer
from autoresearch.proposers.random import RandomProposer
from autoresearch.proposers.replay import ExchangeReplay, ReplayProposer
from autoresearch.proposers.space import Space, build_reply
from autoresearch.proposers.tpe import TpeProposer
from autoresearch.storage.exchange_log import MemoryLog
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.scripted_llm import ScriptedLlm
from autoresearch.trials.estimate import Estimator
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


def change_of(raw: str) -> tuple[str, object]:
    fields = json.loads(raw)
    return fields["knob"], fields["new_value"]


def raws(iteration: Closer) -> list[str]:
    return [attempt.raw for attempt in iteration.attempts]


def unlucky(cfg: Config) -> Failure | None:
    """Deep models do not fit, half of the learning rates are too slow."""
    if cfg["n_layer"] > 24 or cfg["n_head"] < 16:
        return Failure(cause=Cause.OUT_OF_MEMORY, detail="too large")
    return Failure(cause=Cause.TIMEOUT, detail="too slow") if cfg["lr"] < 3e-4 or cfg["beta2"] > 0.95 else None


def only_small(cfg: Config) -> Estimate:
    """What a machine with little memory answers."""
    is_dear = cfg["d_model"] > 1024 or cfg["d_ff"] > 4096 or cfg["seq_len"] > 1024 or cfg["batch_size"] < 16
    return Estimate(peak_bytes=1, time_ratio=9.0 if is_dear else 1.0)


def nothing_at_all(cfg: Config) -> Estimate:
    return Estimate(peak_bytes=1, time_ratio=1.0, unsupported="nothing can be trained here")


class ProposerContract:
    """``open_proposer`` makes the proposer as the service would, for a run that may ask it ``asks`` times."""

    def open_proposer(self, space: Space, seed: int, asks: int) -> Proposer:
        raise NotImplementedError

    @pytest.fixture
    def run(self) -> Callable[..., Loop]:
        """Runs the real loop with this proposer over fakes, to its end."""

        def run_it(iters: int, make: MakeProposer | None = None, **given: object) -> Loop:
            settings = Settings(iters=iters, baseline=BASELINE, limits=given.pop("limits", {}))
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
        return Settings(iters=50, baseline=BASELINE, menu_file=file)

    def maker(self, settings: Settings, seed: int = 0, estimator: Estimator | None = None) -> MakeProposer:
        policy = build_policy(settings)
        backend = TrialBackend(FakeTrial(), YARDSTICK, estimator)
        space = Space(policy.menu, policy.baseline, policy.steps, partial(refusal_for_cost, backend, settings))
        return lambda: self.open_proposer(space, seed, asks=400)

    def test_it_says_who_it_is(self, run):
        loop = run(2)
        name = loop.proposer.name
        assert name
        assert {attempt.source for record in loop.trajectory.iterations for attempt in record.attempts} == {name}

    def test_its_first_reply_passes_the_rails_of_a_fresh_run(self):
        settings = Settings(iters=1, baseline=BASELINE)
        loop = fake_loop(settings, self.maker(settings)())
        answer = loop.proposer.propose(loop.trajectory, [])
        assert gate(answer.raw, BASELINE, default_menu()).rail == Rail.PASSED

    def test_the_same_seed_and_trajectory_give_the_same_proposals(self, run):
        first, second = run(18), run(18)
        assert [raws(r) for r in first.trajectory.iterations] == [raws(r) for r in second.trajectory.iterations]

    def test_asking_twice_changes_nothing(self, run):
        loop = run(15)
        before = list(loop.trajectory.iterations)
        answers = [loop.proposer.propose(loop.trajectory, []) for _ in range(3)]
        assert len({(a.raw, a.others, a.source) for a in answers}) == 1
        assert loop.trajectory.iterations == before

    def test_it_never_proposes_what_the_run_knows(self, run):
        loop = run(30)
        attempts = [attempt for record in loop.trajectory.iterations for attempt in record.attempts]
        assert len(loop.trajectory.iterations) == 30
        assert {attempt.rail for attempt in attempts} == {Rail.PASSED}
        assert len({change_of(attempt.raw) for attempt in attempts}) == 30

    def test_it_answers_each_refusal_with_something_else(self, run):
        loop = run(3)
        refused: list[Attempt] = []
        for number in range(1, 13):
            answer = loop.proposer.propose(loop.trajectory, refused)
            verdict = loop.judge(answer.raw, loop.trajectory)
            over_budget = Verdict(False, Rail.R7_BUDGET, "too dear", verdict.proposal)
            refused.append(build_attempt(answer.raw, answer.source, over_budget, number))
        assert len({change_of(attempt.raw) for attempt in refused}) == 12

    def test_a_used_up_menu_ends_the_run(self, tiny):
        loop = fake_loop(tiny, self.maker(tiny)())
        assert loop.run() != "complete"
        assert {change_of(r.attempts[-1].raw) for r in loop.trajectory.iterations} == TINY_CHANGES
        assert all(isinstance(r, Evaluated) for r in loop.trajectory.iterations)
        with pytest.raises(Exhausted):
            loop.proposer.propose(loop.trajectory, [])

    def test_a_machine_that_can_do_nothing_ends_the_run(self, tiny):
        one_each = tiny.model_copy(update={"limits": tiny.limits.model_copy(update={"max_attempts": 1})})
        loop = fake_loop(one_each, self.maker(one_each, estimator=nothing_at_all)(), estimator=nothing_at_all)
        assert loop.run() != "complete"
        assert all(isinstance(r, Blocked) for r in loop.trajectory.iterations)

    def test_it_survives_failures_and_blocked_iterations(self, run):
        loop = run(30, trial=FakeTrial(fail=unlucky), estimator=only_small, limits={"max_attempts": 1})
        iterations = loop.trajectory.iterations
        assert len(iterations) == 30
        assert not any(isinstance(r, ProposerFailed) for r in iterations)
        assert {Evaluated, EvalFailed} <= {type(r) for r in iterations}
        dear = [change_of(r.attempts[-1].raw) for r in iterations if isinstance(r, Blocked)]
        assert len(set(dear)) == len(dear)  # what R7 refused once is not proposed again
        assert not any(r.rail is Rail.R6_NOVELTY for r in iterations)

    def test_after_a_restart_it_proposes_what_it_would_have_proposed(self, run):
        """At every point of the run a new proposer that only sees the trajectory proposes what the old one proposed."""
        settings = Settings(iters=22, baseline=BASELINE)
        loop = run(22, trial=FakeTrial(fail=unlucky), estimator=only_small)
        so_far = Trajectory()
        for event in loop.observer.events:
            if isinstance(event, Closer):
                fresh = self.maker(settings, estimator=only_small)()
                for n, attempt in enumerate(event.attempts):
                    assert fresh.propose(so_far, event.attempts[:n]).raw == attempt.raw
            so_far.add(event)
        assert len(so_far.iterations) == 22


class Seeded(ProposerContract):
    """Those that choose for themselves."""

    def test_another_seed_proposes_something_else(self, run):
        settings = Settings(iters=10, baseline=BASELINE)
        loops = [run(10, self.maker(settings, seed)) for seed in range(3)]
        nights = {tuple(change_of(r.attempts[-1].raw) for r in loop.trajectory.iterations) for loop in loops}
        assert len(nights) == 3


class TestTpe(Seeded):
    def open_proposer(self, space: Space, seed: int, asks: int) -> Proposer:
        return TpeProposer(space, seed)


class TestRandom(Seeded):
    def open_proposer(self, space: Space, seed: int, asks: int) -> Proposer:
        return RandomProposer(space, seed)


def recorded(space: Space, asks: int) -> list[str]:
    """What a long night proposed: every neighbour of the baseline, then ever finer learning rates."""
    changes = [
        (name, value)
        for name, knob in space.menu.knobs.items()
        for value in getattr(knob, "choices", ()) or space.neighbours(knob)
    ]
    if "lr" in space.menu.knobs:
        changes += [("lr", 1e-3 + n * 1e-5) for n in range(asks)]
    valid = [c for c in changes if c[1] != space.baseline[c[0]]]
    fits = [c for c in valid if not space.menu.broken_rule({**space.baseline, c[0]: c[1]}, space.steps)]
    return [build_reply(*change, "as recorded", "replay").raw for change in fits]


class TestReplay(ProposerContract):
    def open_proposer(self, space: Space, seed: int, asks: int) -> Proposer:
        return ReplayProposer(tuple((raw,) for raw in recorded(space, asks)))

    def test_it_repeats_what_was_recorded_word_for_word(self, run):
        recorded = ('{"knob": "lr", "new_value": 1e-3, "reason": "up"}', "nonsense", '{ "knob": "n_layer" }')
        loop = run(5, lambda: ReplayProposer(tuple((raw,) for raw in recorded)), limits={"max_attempts": 1})
        assert [raw for r in loop.trajectory.iterations for raw in raws(r)] == list(recorded)
        assert [r.rail for r in loop.trajectory.iterations] == [Rail.PASSED, Rail.R1_SCHEMA, Rail.R1_SCHEMA]

    def test_what_others_proposed_before_in_this_run_uses_nothing_up(self, run):
        settings = Settings(iters=5, baseline=BASELINE)
        before = run(3, TestRandom().maker(settings))
        lr = [build_reply("lr", value, "up", "replay").raw for value in (1.23e-3, 2.34e-3)]
        loop = fake_loop(settings, ReplayProposer(tuple((raw,) for raw in lr)), trajectory=before.trajectory)
        assert loop.run() == "complete"
        assert [raws(r) for r in loop.trajectory.iterations[3:]] == [[raw] for raw in lr]

    def test_the_proposals_of_one_reply_go_out_together(self, run):
        lr = [build_reply("lr", value, "up", "replay").raw for value in (1e-3, 2e-3, 3e-3)]
        groups = (("nonsense", lr[0], lr[1]), ("nonsense", "more of it"), (lr[2],))
        loop = run(9, lambda: ReplayProposer(groups))
        found = [[(a.raw, a.round, a.spare) for a in r.attempts] for r in loop.trajectory.iterations]
        assert found == [
            [("nonsense", 1, False), (lr[0], 1, False), (lr[1], 1, True)],
            [("nonsense", 1, False), ("more of it", 1, False), (lr[2], 2, False)],
        ]


class TestExchangeReplay(ProposerContract):
    """An LLM's answer in each iteration, as far as they go; then, and after a refusal, TPE."""

    def open_proposer(self, space: Space, seed: int, asks: int) -> Proposer:
        answers = {n: ((raw,),) for n, raw in enumerate(recorded(space, asks), 1)}
        return ExchangeReplay(answers, TpeProposer(space, seed))

    def test_where_nothing_is_recorded_the_fallback_is_asked(self, run):
        settings = Settings(iters=4, baseline=BASELINE)
        make_fallback = TestRandom().maker(settings)
        lr = [build_reply("lr", value, "up", "replay").raw for value in (1e-3, 2e-3)]
        answers = {2: (("nonsense",), ("nonsense", lr[0], lr[1])), 3: (("nonsense",),)}
        loop = run(4, lambda: ExchangeReplay(answers, make_fallback()))
        found = [[(a.source, a.round) for a in r.attempts] for r in loop.trajectory.iterations]
        assert found == [
            [("random", 1)],
            [("replay", 1), ("replay", 2), ("replay", 2), ("replay", 2)],
            [("replay", 1), ("random", 2)],
            [("random", 1)],
        ]
        assert raws(loop.trajectory.iterations[1]) == ["nonsense", "nonsense", lr[0], lr[1]]
        third = loop.trajectory.iterations[2]
        so_far = Trajectory.fold(e for e in loop.observer.events if getattr(e, "iter", 0) < 3)
        assert make_fallback().propose(so_far, third.attempts[:1]).raw == third.attempts[1].raw  # it sees the refusal


def obedient(messages: Sequence[Message], schema: Mapping[str, Any]) -> str:
    """What a model could say that keeps to the schema: a choice where there is one, else a number within the range."""
    rng = random.Random("".join(m.content for m in messages))
    knobs = [e["properties"] for e in schema["properties"]["proposals"]["items"]["anyOf"]]
    values = rng.choice([k for k in knobs if k["new_value"]["type"] != "integer" or "enum" in k["new_value"]])
    value = values["new_value"]
    chosen = rng.choice(value["enum"]) if "enum" in value else rng.uniform(value["minimum"], value["maximum"])
    one = {"knob": values["knob"]["enum"][0], "new_value": chosen, "reason": "why not"}
    return json.dumps({"proposals": [one]})


def nim_proposer(space: Space, llm: ScriptedLlm, fallback: Proposer) -> LlmProposer:
    def judge(raw: str, trajectory: Trajectory) -> Verdict:
        return gate(raw, space.baseline, space.menu, steps=space.steps, known=trajectory.known())

    return LlmProposer(llm, space, fallback, judge, MemoryLog(), lambda: "now", lambda _trajectory: "enough")


class TestNim(ProposerContract):
    """A model that keeps to its schema: whatever else models do is in tests/fault."""

    def open_proposer(self, space: Space, seed: int, asks: int) -> Proposer:
        return nim_proposer(space, ScriptedLlm(obedient), TpeProposer(space, seed))


class TestNimWithoutAServer(ProposerContract):
    """Nobody answers: the night is the fallback's, under the fallback's name."""

    def open_proposer(self, space: Space, seed: int, asks: int) -> Proposer:
        unreachable = ScriptedLlm(obedient, discovery_failure=Answer(Classification.UNREACHABLE, "connection refused"))
        proposer = nim_proposer(space, unreachable, TpeProposer(space, seed))
        proposer.name = "tpe"
        return proposer


class TestHybrid(Seeded):
    def open_proposer(self, space: Space, seed: int, asks: int) -> Proposer:
        tpe = TpeProposer(space, seed)
        nim = nim_proposer(space, ScriptedLlm(obedient), tpe)
        nim.beliefs = tpe.beliefs
        return HybridProposer(tpe, nim, 0.3)

    def test_it_says_who_it_is(self, run):
        """The records say which of the two proposed: the model in three iterations of ten."""
        loop = run(20)
        sources = [record.source for record in loop.trajectory.iterations]
        assert loop.proposer.name == "hybrid"
        assert (sources.count("nim"), sources.count("tpe")) == (6, 14)
        assert all((record.source == "nim") == bool(record.llm_calls) for record in loop.trajectory.iterations)
