"""Unions of keeps in the real loop, in a world where gains of knobs add up, cancel or fail."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import Any, cast

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.loop import Loop
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.ports import Exhausted, Proposer
from autoresearch.core.records import Evaluated, LoopComplete, ProposalRecord, Proposed
from autoresearch.core.results import Result
from autoresearch.core.stacking import STACK_SOURCE
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg, sha256_of
from autoresearch.daemon.policy import build_policy
from autoresearch.proposers.replay import ReplayProposer
from autoresearch.proposers.space import Space, build_reply
from autoresearch.proposers.stack import (
    NOTHING_LEFT,
    ComposeAtEnd,
    SearchAndStack,
    StackProposer,
    _refused_unions,
)
from autoresearch.testing.contracts.proposer import BASELINE
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver
from rails import Estimate, Rail

GAINS = {"lr": 0.03, "beta2": 0.02, "weight_decay": 0.012}
CHANGES: dict[str, Any] = {"lr": 1e-3, "beta2": 0.97, "weight_decay": 0.05, "grad_clip": 0.5}


def bpb(cfg: Cfg, seed: int, *, cancel: frozenset[str] = frozenset()) -> float:
    """2 bits per byte less the gains of what was changed; ``cancel``: together they gain only what the first does."""
    changed = [k for k in CHANGES if cfg[k] != BASELINE[k]]
    gain = sum(GAINS.get(k, -0.01) for k in changed)
    if cancel and cancel <= set(changed):
        gain -= sum(GAINS[k] for k in cancel)
    digest = hashlib.sha256(f"{sha256_of(cfg)}:{seed}".encode()).digest()
    return 2.0 * (1 - gain) + 0.0008 * (int.from_bytes(digest[:4], "little") / 2**32 - 0.5)


def settings(iters: int, **changes: Any) -> Settings:
    return Settings.model_validate({"iters": iters, "max_changes": 1, "baseline": BASELINE, **changes})


def space_of(chosen: Settings) -> Space:
    policy = build_policy(chosen)
    return Space(policy.menu, policy.baseline, policy.steps, max_changes=chosen.max_changes)


def searched(*knobs: str) -> ReplayProposer:
    return ReplayProposer(tuple((build_reply(k, CHANGES[k], "a hunch", "replay").raw,) for k in knobs))


def run(
    chosen: Settings, proposer: Proposer, trial: FakeTrial | None = None, trajectory: Trajectory | None = None
) -> Loop:
    loop = fake_loop(chosen, proposer, trial or FakeTrial(bpb=bpb), trajectory=trajectory)
    loop.run()
    return loop


def tried(loop: Loop) -> list[tuple[str, set[str]]]:
    return [(r.source, {knob for knob, _ in r.changes}) for r in loop.trajectory.results]


@pytest.fixture
def night() -> Loop:
    """Three keeps and a loser, one knob each."""
    return run(settings(4), searched("weight_decay", "grad_clip", "lr", "beta2"))


def test_compose_tries_unions_by_gain_then_leaves_one_out_and_ends(night: Loop) -> None:
    chosen = settings(30, compose="only", proposer="stack")
    assert [r.is_keep for r in night.trajectory.results] == [True, False, True, True]
    loop = run(chosen, StackProposer(space_of(chosen)), trajectory=night.trajectory)
    assert tried(loop)[4:] == [
        ("stack", {"lr", "beta2"}),
        ("stack", {"lr", "beta2", "weight_decay"}),
        ("stack", {"beta2", "weight_decay"}),
        ("stack", {"lr", "weight_decay"}),
    ]
    assert loop.trajectory.best is not None
    assert loop.trajectory.best.iter == 6
    assert loop.trajectory.best.evidence is not None  # confirmed like any other candidate
    assert isinstance(loop.observer, RecordingObserver)
    assert loop.observer.messages[-1] == NOTHING_LEFT
    end = loop.observer.events[-1]
    assert isinstance(end, LoopComplete)
    assert end.iters_requested == 8, "as many as there were, not the most that were allowed"


def test_keeps_that_cancel_are_held_apart() -> None:
    chosen = settings(30, compose="only", proposer="stack")
    trial = FakeTrial(bpb=lambda cfg, seed: bpb(cfg, seed, cancel=frozenset({"lr", "beta2"})))
    night = run(settings(3), searched("weight_decay", "lr", "beta2"), trial)
    loop = run(chosen, StackProposer(space_of(chosen)), trial, night.trajectory)
    assert tried(loop)[3:] == [("stack", {"lr", "beta2"}), ("stack", {"lr", "weight_decay"})]
    assert loop.trajectory.best is not None
    assert loop.trajectory.best.iter == 5


def test_a_union_that_crashes_is_not_tried_again(night: Loop) -> None:
    chosen = settings(30, compose="only", proposer="stack")

    def fail(cfg: Cfg) -> Failure | None:
        both = cfg["lr"] == CHANGES["lr"] and cfg["beta2"] == CHANGES["beta2"]
        return Failure(cause=Cause.OUT_OF_MEMORY, detail="too large") if both else None

    loop = run(chosen, StackProposer(space_of(chosen)), FakeTrial(bpb=bpb, fail=fail), night.trajectory)
    assert tried(loop)[4:] == [("stack", {"lr", "beta2"}), ("stack", {"lr", "weight_decay"})]


def test_a_restart_in_the_middle_changes_nothing(night: Loop) -> None:
    chosen = settings(30, compose="only", proposer="stack")
    whole = run(chosen, StackProposer(space_of(chosen)), trajectory=night.trajectory)
    part = run(settings(4), searched("weight_decay", "grad_clip", "lr", "beta2"))
    for iters in (5, 7, 30):
        again = settings(iters, compose="only", proposer="stack")
        part = run(again, StackProposer(space_of(again)), trajectory=part.trajectory)
    assert tried(part) == tried(whole)


def test_unions_may_change_more_than_max_changes_but_nothing_else_may(night: Loop) -> None:
    """Only where the user asked for unions, and only of values that were confirmed."""
    union = '{"changes": [{"knob": "lr", "new_value": 0.001}, {"knob": "beta2", "new_value": 0.97}], "reason": "x"}'
    other = union.replace("0.97", "0.98")
    loser = '{"changes": [{"knob": "lr", "new_value": 0.001}, {"knob": "grad_clip", "new_value": 0.5}], "reason": "x"}'
    odd = '{"changes": [{"knob": "lr", "new_value": [0.001]}, {"knob": ["beta2"], "new_value": true}], "reason": "x"}'

    def rail(raw: str, **changes: Any) -> Rail | None:
        loop = fake_loop(settings(9, **changes), searched(), trajectory=night.trajectory)
        return loop.judge(raw, night.trajectory).rail

    assert rail(union) == Rail.R1_SCHEMA
    for asked in ({"compose": "last"}, {"proposer": "stack"}):
        assert rail(union, **asked) == Rail.PASSED
        assert {rail(raw, **asked) for raw in (other, loser, odd, "nonsense")} == {Rail.R1_SCHEMA}


def test_compose_at_the_end_uses_the_last_iterations_and_gives_back_what_is_left() -> None:
    chosen = settings(12, compose="last")
    others = [build_reply("beta1", 0.9 + n / 1000, "more", "replay").raw for n in range(1, 12)]
    search = ReplayProposer((*searched("weight_decay", "lr", "beta2").replies, *((raw,) for raw in others)))
    loop = run(chosen, ComposeAtEnd(search, StackProposer(space_of(chosen)), chosen.iters))
    sources = [source for source, _ in tried(loop)]
    assert sources == ["replay"] * 7 + ["stack"] * 2 + ["replay"] + ["stack"] * 2  # five may be needed, four are
    assert loop.trajectory.best is not None
    assert {k for k, _ in loop.trajectory.results[loop.trajectory.best.iter - 1].changes} == set(GAINS)


def test_a_search_with_nothing_left_leaves_the_rest_to_unions() -> None:
    chosen = settings(40, compose="last")
    search = searched("weight_decay", "lr", "beta2")
    loop = run(chosen, ComposeAtEnd(search, StackProposer(space_of(chosen)), chosen.iters))
    assert [source for source, _ in tried(loop)] == ["replay"] * 3 + ["stack"] * 4


def test_proposer_stack_alternates_with_its_search() -> None:
    chosen = settings(8, proposer="stack")
    others = [build_reply("beta1", 0.9 + n / 1000, "more", "replay").raw for n in range(1, 12)]
    search = ReplayProposer((*searched("weight_decay", "lr", "beta2").replies, *((raw,) for raw in others)))
    loop = run(chosen, SearchAndStack(search, StackProposer(space_of(chosen))))
    assert [source for source, _ in tried(loop)][:7] == [
        "replay",
        "replay",
        "stack",
        "replay",
        "stack",
        "replay",
        "stack",
    ]


def test_what_a_rail_refused_is_not_proposed_again(night: Loop) -> None:
    """The proposer expects it to fit, and the rail says otherwise: once."""

    chosen = settings(30, compose="only", proposer="stack", limits={"max_attempts": 1})

    def too_large(cfg: Any) -> Any:
        changed = sum(cfg[k] != BASELINE[k] for k in CHANGES)
        return Estimate(peak_bytes=1, time_ratio=9.0 if changed > 1 else 1.0)

    loop = fake_loop(
        chosen,
        StackProposer(space_of(chosen)),
        FakeTrial(bpb=bpb),
        too_large,
        night.trajectory,  # type: ignore[arg-type]
    )
    assert loop.run() == "complete"
    closed = loop.trajectory.iterations[4:]
    assert [r.stage for r in closed] == ["blocked", "blocked"]
    assert not any(isinstance(r, Evaluated) for r in closed)


def test_without_keeps_there_is_nothing_to_propose() -> None:
    chosen = settings(2, compose="only")
    with pytest.raises(Exhausted):
        StackProposer(space_of(chosen)).propose(run(settings(1), searched("grad_clip")).trajectory, [])


def test_a_refused_union_is_known_also_where_iterations_closed_out_of_their_order() -> None:
    union = SimpleNamespace(changes=(("beta2", 0.97), ("lr", 1e-3)))
    attempts = [SimpleNamespace(verdict_ok=False, source=STACK_SOURCE, proposal=union)]
    closed = [(1, 0, ()), (5, 1, (STACK_SOURCE,)), (2, 0, ()), (7, 0, (STACK_SOURCE,))]  # 3, 4 and 6 are open
    trajectory = SimpleNamespace(
        results=[SimpleNamespace(iter=n, refused=refused, reply_sources=sources) for n, refused, sources in closed],
        iterations=[SimpleNamespace(attempts=attempts if n == 5 else []) for n, *_ in closed],
    )
    assert _refused_unions(cast("Trajectory", trajectory)) == {frozenset(union.changes)}


@pytest.mark.parametrize(
    ("at_work", "closed", "expected"),
    [
        ({}, {}, "stack"),
        ({5: "tpe", 6: "stack"}, {}, "replay"),
        ({5: "stack", 6: "tpe"}, {}, "stack"),
        ({5: "tpe"}, {6: "stack"}, "replay"),  # the union was proposed last, and closed before an older candidate
    ],
)
def test_a_union_is_followed_by_the_search_also_while_candidates_are_being_measured(
    night: Loop, at_work: dict[int, str], closed: dict[int, str], expected: str
) -> None:
    run, cfg = night.trajectory, dict(night.baseline_cfg)
    run.parallel = True
    for n, source in at_work.items():
        proposal = ProposalRecord(knob="grad_clip", new_value=0.5 + n, reason="a hunch")
        fields = {"diff": "", "estimate": None, "attempts": (), "propose_wall_s": 0.0, "candidate_cfg": cfg}
        run.add(Proposed(ts="now", iter=n, source=source, proposal=proposal, **fields))
    run.results += [Result(n, "blocked", source) for n, source in closed.items()]
    replies = searched(*["lr"] * 9)
    proposer = SearchAndStack(replies, StackProposer(space_of(settings(30))))
    assert proposer.propose(run, []).source == expected
