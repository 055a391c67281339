"""Every proposer under the contract of its port. A new proposer is one more class at the end of this file."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from autoresearch.config.settings import Settings
from autoresearch.core.llm_calls import Classification, Message
from autoresearch.core.ports import Proposer
from autoresearch.core.trajectory import Trajectory
from autoresearch.llm.answer import Answer
from autoresearch.proposers.hybrid import HybridProposer
from autoresearch.proposers.llm import LlmProposer
from autoresearch.proposers.random import RandomProposer
from autoresearch.proposers.replay import ExchangeReplay, ReplayProposer
from autoresearch.proposers.space import Space, build_reply
from autoresearch.proposers.stack import ComposeAtEnd, SearchAndStack, StackProposer
from autoresearch.proposers.tpe import TpeProposer
from autoresearch.proposers.trust_region import TrustRegionProposer
from autoresearch.storage.exchange_log import MemoryLog
from autoresearch.testing.contracts.proposer import (
    BASELINE,
    TINY_CHANGES,
    ProposerContract,
    SeededProposerContract,
    raws,
)
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.scripted_llm import ScriptedLlm
from rails import Rail, Verdict, gate


class TestTpe(SeededProposerContract):
    def open_proposer(self, space: Space, seed: int, asks: int) -> Proposer:
        return TpeProposer(space, seed)


class TestTrustRegion(SeededProposerContract):
    """Of one knob, as the loop's default asks for."""

    def open_proposer(self, space: Space, seed: int, asks: int) -> Proposer:
        return TrustRegionProposer(space, seed)


class TestTrustRegionOfSeveral(SeededProposerContract):
    """Of all knobs: every rule of the contract holds for whole configurations."""

    max_changes = 13
    tiny_changes = TINY_CHANGES | {(("batch_size", 8), ("n_head", heads)) for heads in (4, 8)}

    def open_proposer(self, space: Space, seed: int, asks: int) -> Proposer:
        return TrustRegionProposer(space, seed)


class TestRandom(SeededProposerContract):
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
        said = ('{"knob": "lr", "new_value": 1e-3, "reason": "up"}', "nonsense", '{ "knob": "n_layer" }')
        loop = run(5, lambda: ReplayProposer(tuple((raw,) for raw in said)), limits={"max_attempts": 1})
        assert [raw for r in loop.trajectory.iterations for raw in raws(r)] == list(said)
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
    """An LLM's answer in each iteration, as far as they go; then, and after a refusal, the optimizer."""

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
        return nim_proposer(space, ScriptedLlm(obedient), TrustRegionProposer(space, seed))


class TestNimWithoutAServer(ProposerContract):
    """Nobody answers: the night is the fallback's, under the fallback's name."""

    def open_proposer(self, space: Space, seed: int, asks: int) -> Proposer:
        absent = ScriptedLlm(obedient, discovery_failure=Answer(Classification.UNREACHABLE, "connection refused"))
        proposer = nim_proposer(space, absent, TrustRegionProposer(space, seed))
        proposer.name = "trust-region"
        return proposer


class TestHybrid(SeededProposerContract):
    def open_proposer(self, space: Space, seed: int, asks: int) -> Proposer:
        optimizer = TrustRegionProposer(space, seed, hides_failures_of="nim")
        nim = nim_proposer(space, ScriptedLlm(obedient), optimizer)
        nim.beliefs = optimizer.beliefs
        return HybridProposer(optimizer, nim, 0.3)

    def test_it_says_who_it_is(self, run):
        """The records say which of the two proposed: the model in three iterations of ten."""
        loop = run(20)
        sources = [record.source for record in loop.trajectory.iterations]
        assert loop.proposer.name == "hybrid"
        assert (sources.count("nim"), sources.count("trust-region")) == (6, 14)
        assert all((record.source == "nim") == bool(record.llm_calls) for record in loop.trajectory.iterations)


class TestStack(SeededProposerContract):
    """Unions of keeps, and a search of one knob at a time in front of them."""

    max_changes = 13
    tiny_changes = TestTrustRegionOfSeveral.tiny_changes

    def open_proposer(self, space: Space, seed: int, asks: int) -> Proposer:
        return SearchAndStack(TrustRegionProposer(replace(space, max_changes=13), seed), StackProposer(space))

    def test_it_says_who_it_is(self, run):
        """The records say which proposals are unions."""
        loop = run(20)
        assert loop.proposer.name == "stack"
        assert {r.source for r in loop.trajectory.iterations} <= {"stack", "trust-region"}


class TestComposeAtEnd(TestStack):
    """``--compose``: the run's own proposer, and unions in the last iterations."""

    def open_proposer(self, space: Space, seed: int, asks: int) -> Proposer:
        return ComposeAtEnd(TrustRegionProposer(replace(space, max_changes=13), seed), StackProposer(space), 30)

    def test_it_says_who_it_is(self, run):
        assert run(3).proposer.name == "trust-region"
