"""A night that is replayed has the candidates it had, whether from its trajectory or from the LLM's answers alone."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from autoresearch.config.settings import Settings
from autoresearch.core.llm_calls import Exchange, Message
from autoresearch.core.loop import Loop
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.ports import Proposer, Reply
from autoresearch.core.records import Attempt, Blocked
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.cost_check import judge, refusal_for_cost
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.recording import read_recording, replies_by_iteration
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import JournalError
from autoresearch.proposers.factory import budget_left
from autoresearch.proposers.llm import LlmProposer
from autoresearch.proposers.random import RandomProposer
from autoresearch.proposers.replay import ExchangeReplay, ReplayProposer, count_replies_from, replay_reply
from autoresearch.proposers.space import Space
from autoresearch.proposers.tpe import TpeProposer
from autoresearch.storage.exchange_log import ExchangeLog, MemoryLog
from autoresearch.storage.journal import Journal
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_exchange import fake_exchange
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.scripted_llm import ScriptedLlm
from rails import Config, Estimate, Rail, default_menu
from tests.examples import examples

ITERS = 8


def say(knob: str, value: object) -> str:
    return json.dumps({"knob": knob, "new_value": value, "reason": "a hunch"})


# Good ones, refused ones, and ones that are known once they were tried.
SAID = [
    *(say("lr", value) for value in (1e-3, 2e-3, 3e-3, 4e-3)),
    *(say("n_layer", value) for value in (8, 12, 99)),
    *(say("d_model", 2048), say("mood", 1), "no JSON", '{"knob": "lr"}'),
]
SCRIPTS = st.dictionaries(  # iteration -> rounds -> proposals; a round without any is a call that failed
    st.integers(1, ITERS), st.lists(st.lists(st.sampled_from(SAID), max_size=3), min_size=1, max_size=3)
)


def over_budget(cfg: Config) -> Estimate:
    return Estimate(peak_bytes=1, time_ratio=9.0 if cfg["d_model"] > 1024 or cfg["beta1"] > 0.9 else 1.0)


def too_deep(cfg: Config) -> Failure | None:
    return Failure(cause=Cause.OUT_OF_MEMORY, detail="too deep") if cfg["n_layer"] > 24 else None


@dataclass
class Hybrid:
    """Like a proposer with an LLM: rounds with it in some iterations, the fallback in the others."""

    script: Mapping[int, Sequence[Sequence[str]]]
    fallback: Proposer
    exchanges: list[Exchange] = field(default_factory=list)
    name: str = "hybrid"

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        n, used = trajectory.next_iter, count_replies_from("nim", refused)
        rounds = self.script.get(n, ())
        if used >= len(rounds) or len({a.source for a in refused} - {"nim"}):
            return self.fallback.propose(trajectory, refused)
        slices = rounds[used]
        self.exchanges.append(fake_exchange(len(self.exchanges) + 1, *slices, n=n, round=used + 1))
        return replay_reply(slices, "nim") if slices else self.fallback.propose(trajectory, refused)


def build_fallback(kind: type[Any], settings: Settings, seed: int = 7) -> Proposer:
    policy = build_policy(settings)
    backend = TrialBackend(FakeTrial(), YARDSTICK, over_budget)
    space = Space(policy.menu, policy.baseline, policy.steps, partial(refusal_for_cost, backend, settings))
    return kind(space, seed)


def night(settings: Settings, proposer: Proposer) -> Loop:
    loop = fake_loop(settings, proposer, FakeTrial(fail=too_deep), over_budget)
    assert loop.run() == "complete"
    return loop


def told(loop: Loop) -> list[Any]:
    """Everything about a night's proposals except their source."""
    return [
        (r.iter, r.stage, getattr(r, "candidate_cfg", None), [(a.raw, a.rail, a.round, a.spare) for a in r.attempts])
        for r in loop.trajectory.iterations
    ]


def saved(run_dir: Path, loop: Loop, exchanges: Sequence[Exchange]) -> None:
    """The run directory that such a night leaves, its log in several segments."""
    trajectory = Journal(run_dir / "trajectory.jsonl")
    for payload in loop.journal.payloads:  # type: ignore[attr-defined]
        trajectory.append(payload)
    trajectory.close()
    log = ExchangeLog(run_dir, segment_bytes=2000)
    for exchange in exchanges:
        log.append(exchange)
    log.close()


def check_replays(run_dir: Path, script: Mapping[int, Sequence[Sequence[str]]], kind: type[Any], attempts: int) -> Loop:
    """Record a night of this script, replay it from both files; the recorded one."""
    settings = Settings(iters=ITERS, baseline=default_menu().defaults, limits={"max_attempts": attempts})
    hybrid = Hybrid(script, build_fallback(kind, settings))
    first = night(settings, hybrid)
    saved(run_dir, first, hybrid.exchanges)

    replies = read_recording(run_dir)
    assert isinstance(replies, tuple)
    assert told(night(settings, ReplayProposer(replies))) == told(first)

    answers = read_recording(run_dir / "exchanges.jsonl")
    assert isinstance(answers, dict)
    again = night(settings, ExchangeReplay(answers, build_fallback(kind, settings)))
    assert told(again) == told(first)
    sources = [[a.source.replace("nim", "replay") for a in r.attempts] for r in first.trajectory.iterations]
    assert [[a.source for a in r.attempts] for r in again.trajectory.iterations] == sources
    return first


@pytest.mark.slow
@given(SCRIPTS, st.integers(1, 4))
@how(max_examples=examples(40))
def test_a_hybrid_night_is_repeated_from_either_file(script: dict[int, list[list[str]]], attempts: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        check_replays(Path(directory), script, RandomProposer, attempts)


def test_with_tpe_as_the_fallback(tmp_path: Path) -> None:
    script = {
        1: [["no JSON"], [say("n_layer", 99), say("lr", 1e-3), say("lr", 2e-3)]],
        3: [["no JSON"], ["no JSON"]],
        4: [[]],
        5: [[say("lr", 1e-3)], [], ["never asked for"]],
        6: [["no JSON"]] * 4,
    }
    first = check_replays(tmp_path, script, TpeProposer, attempts=4)
    closed = first.trajectory.iterations
    assert [r.attempts[-1].source for r in closed] == ["nim", "tpe", "tpe", "tpe", "tpe", "nim", "tpe", "tpe"]
    assert isinstance(closed[5], Blocked)
    assert (tmp_path / "exchanges-0001.jsonl.gz").exists()
    assert Rail.R6_NOVELTY in {a.rail for r in closed for a in r.attempts}, "a replay repeats the refusals too"


def test_calls_that_failed_leave_nothing_to_replay() -> None:
    said = [fake_exchange(1, n=1), fake_exchange(2, "a", "b", n=3), fake_exchange(3, n=3, round=2)]
    said += [fake_exchange(4, "c", n=3, round=3)]
    assert replies_by_iteration(said) == {3: (("a", "b"), ("c",))}


def test_a_conversation_that_began_again_replaces_the_one_that_was_cut_off() -> None:
    """The daemon was killed before the first came to anything; what it said is in the log, and in no trajectory."""
    cut_off = [fake_exchange(1, "a", n=2), fake_exchange(2, "b", n=2, round=2), fake_exchange(3, "c", n=2, round=3)]
    assert replies_by_iteration([*cut_off, fake_exchange(4, "d", n=2)]) == {2: (("d",),)}
    assert replies_by_iteration([*cut_off, fake_exchange(4, n=2)]) == {}
    assert replies_by_iteration([*cut_off, fake_exchange(4, "d", n=2, round=3)]) == {2: (("a",), ("b",), ("d",))}


def test_the_name_decides_what_is_read(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"there is no .*exchanges\.jsonl"):
        read_recording(tmp_path / "exchanges.jsonl")
    with pytest.raises(JournalError, match=r"has no trajectory\.jsonl"):
        read_recording(tmp_path)
    (tmp_path / "exchanges-tonight").mkdir()
    with pytest.raises(JournalError, match=r"has no trajectory\.jsonl"):
        read_recording(tmp_path / "exchanges-tonight")
    with pytest.raises(JournalError, match="cannot read"):
        read_recording(tmp_path / ("exchanges" + "x" * 5000))


def test_a_real_llm_night_with_words_instead_of_proposals(tmp_path: Path) -> None:
    """A reply without a proposal in it was refused by R1 and counted: TPE, asked afterwards, had been told of it."""

    def talks(messages: Sequence[Message], _schema: Mapping[str, Any]) -> str:
        number = len(messages) + len(log.exchanges)
        return say("beta1", round(0.6 + number / 100, 3)) if number % 4 == 0 else f"I would rather not say ({number})"

    settings, log = Settings(iters=12, baseline=default_menu().defaults), MemoryLog()
    policy = build_policy(settings)
    space = Space(policy.menu, policy.baseline, policy.steps)
    judged = partial(judge, policy, TrialBackend(FakeTrial(), YARDSTICK, None), settings)
    budget = partial(budget_left, settings)
    nim = LlmProposer(ScriptedLlm(talks), space, TpeProposer(space, 0), judged, log, lambda: "now", budget)
    night = fake_loop(settings, nim)
    night.run()
    assert any(not e.slices and e.raw for e in log.exchanges)
    again = fake_loop(settings, ExchangeReplay(replies_by_iteration(log.exchanges), TpeProposer(space, 0)))
    again.run()
    assert [r.candidate_cfg for r in again.trajectory.iterations] == [
        r.candidate_cfg for r in night.trajectory.iterations
    ]
