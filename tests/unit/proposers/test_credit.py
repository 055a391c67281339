"""The share that a model earns: a function of the results, and what it can cost at most."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch.core.iterations import Iterations
from autoresearch.core.ports import Reply
from autoresearch.core.records import ProposalRecord, Proposed
from autoresearch.core.results import Result
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.credit import CAP, FLOOR, Credit, credit_of, earned_share, is_earned_turn
from autoresearch.proposers.hybrid import HybridProposer
from autoresearch.proposers.other_failures import without_failures
from tests.examples import examples


@dataclass
class Asked:
    """A proposer that remembers what it was shown."""

    name: str
    saw: list[tuple[int, list[Result]]] = field(default_factory=list)

    def propose(self, trajectory: Trajectory, refused: Any) -> Reply:
        self.saw.append((trajectory.next_iter, list(trajectory.results)))
        return Reply("{}", self.name)


def keep(n: int, source: str, gain: float, knob: str = "lr") -> Result:
    return Result(n, "evaluated", source, knob, 1.0, 2.0, gain, True, 4, reply_sources=(source,))


def revert(n: int, source: str) -> Result:
    return Result(n, "evaluated", source, "lr", float(n), 2.0, -0.01, False, 1, reply_sources=(source,))


def failure(n: int, source: str) -> Result:
    return Result(n, "eval_failed", source, "d_model", n, reply_sources=(source,))


def refused(n: int) -> Result:
    """Nonsense of the model, and then the optimizer's candidate."""
    return Result(n, "evaluated", "tpe", "lr", float(n), 2.0, -0.01, False, 1, reply_sources=("nim", "nim", "tpe"))


def night(iters: int, of_llm: Any, of_tpe: Any = revert, share: Any = "auto") -> list[Result]:
    """The results of a hybrid whose model ends each of its turns in the same way."""
    hybrid, trajectory = HybridProposer(Asked("tpe"), Asked("nim"), share), Trajectory()
    for n in range(1, iters + 1):
        source = hybrid.propose(trajectory, []).source
        trajectory.results.append(of_llm(n) if source == "nim" else of_tpe(n, "tpe"))
        trajectory.iterations = Iterations([b""] * n)
    return trajectory.results


@pytest.mark.parametrize("useful", [20, 30, 60, 100, 150])
def test_a_model_that_only_fails_costs_at_most_five_percent(useful: int):
    """Out of memory each time: the trials until the optimizer has made so many of its own."""
    results = night(2 * useful, lambda n: failure(n, "nim"))
    own = [r.iter for r in results if r.source == "tpe"]
    assert own[useful - 1] <= 1.05 * useful
    assert any(r.source == "nim" for r in results)


@given(st.integers(20, 80), st.lists(st.booleans(), min_size=30, max_size=30))
@settings(max_examples=examples(15), deadline=None)
def test_nor_does_one_that_mixes_failures_with_trials_without_gain(useful: int, kinds: list[bool]):
    results = night(2 * useful, lambda n: failure(n, "nim") if kinds[n % 30] else revert(n, "nim"))
    own = [r.iter for r in results if r.source == "tpe"]
    assert own[useful - 1] <= 1.05 * useful


def test_a_model_that_only_talks_nonsense_costs_no_trial_at_all():
    results = night(100, refused)
    assert {r.source for r in results} == {"tpe"}
    assert sum("nim" in r.reply_sources for r in results) == 4  # and its turns become few


def test_a_fixed_share_loses_what_the_earned_one_does_not():
    fixed = night(100, lambda n: failure(n, "nim"), share=0.3)
    assert sum(r.source == "nim" for r in fixed) == 30


def test_a_model_that_gains_is_asked_more_and_the_cap_holds():
    steady = night(100, lambda n: keep(n, "nim", 0.01, f"knob{n}"))
    assert sum(r.source == "nim" for r in steady) == pytest.approx(CAP * 100, abs=3)
    rare = night(100, lambda n: keep(n, "nim", 0.01, f"a{n}"), lambda n, s: keep(n, s, 0.02, f"b{n}"))
    assert sum(r.source == "nim" for r in rare) == pytest.approx(100 / 3, abs=9)


def test_credit_counts_new_gains_alone():
    results = [keep(1, "tpe", 0.02), keep(2, "nim", 0.021), keep(3, "nim", 0.015), failure(4, "nim"), refused(5)]
    own, others = credit_of(results)
    assert own == Credit(4, pytest.approx(0.001), 5)
    assert others == Credit(2, 0.02, 5)
    assert earned_share(own, others) == FLOOR
    assert earned_share(Credit(2, 0.02, 2), Credit(2, 0.02, 4)) == 0.5
    assert earned_share(Credit(4, 0.02, 2), Credit(4, 0.06, 4)) == pytest.approx(0.25)


def test_the_first_turn_and_never_two_in_a_row():
    assert [n for n in range(1, 9) if is_earned_turn(n, Credit(), Credit())] == [4, 6, 8]  # no answer leaves no trace
    assert not is_earned_turn(6, Credit(1, 0.05, 5), Credit())


def test_the_optimizer_is_shown_the_trajectory_without_the_models_failures():
    results = [revert(1, "tpe"), failure(2, "nim"), failure(3, "tpe"), revert(4, "nim"), Result(5, "blocked", "nim")]
    trajectory = Trajectory(results=results, iterations=Iterations([b""] * 5))
    seen = without_failures(trajectory, "nim")
    assert [r.iter for r in seen.results] == [1, 3, 4]
    assert (seen.new_iter, trajectory.new_iter) == (4, 6)
    assert len(trajectory.results) == 5
    assert without_failures(trajectory, "") is trajectory


@pytest.mark.parametrize("share", [0.5, 0.49, 0.40, 0.34, 0.20, 0.10])
def test_an_earned_share_is_granted_to_within_one_turn(share: float):
    own, others, iters = Credit(), Credit(), 200
    for n in range(1, iters + 1):
        if is_earned_turn(n, own, others):
            own = own.after(n, share)
        else:
            others = others.after(n, 1 - share)
    assert earned_share(own, others) == pytest.approx(share)
    assert own.turns == pytest.approx(share * iters, abs=1)


def test_a_turn_of_the_model_that_is_still_open_counts():
    """In a parallel run: else every other iteration would be its turn until the first is closed."""
    run = Trajectory(results=[revert(n, "tpe") for n in (1, 2, 3)], parallel=True)
    hybrid, turns = HybridProposer(Asked("tpe"), Asked("nim"), "auto"), []
    for n in range(4, 13):
        run.highest_iter = n - 1
        source = hybrid.propose(run, []).source
        turns += [n] if source == "nim" else []
        proposal = ProposalRecord(knob="lr", new_value=float(n), reason="a hunch")
        run.proposals[n] = Proposed.model_construct(iter=n, source=source, proposal=proposal, attempts=())
    assert turns == [4]


def test_the_last_turn_is_the_latest_iteration_whichever_closed_last():
    own, _ = credit_of([revert(8, "nim"), revert(4, "nim")])
    assert own.last_turn == 8
