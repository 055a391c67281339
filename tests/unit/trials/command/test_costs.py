"""What R7 learns from the trials of a command."""

from __future__ import annotations

from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.record_bases import KnobChange, ProposalRecord
from autoresearch.core.tried_costs import TriedCost, costs_of
from autoresearch.trials.command.costs import learned_estimate

BASELINE = {"depth": 8, "kind": "a"}
TRIED = [
    TriedCost(None, None, 10.0, 100),
    TriedCost("depth", 12, 20.0, 300),
    TriedCost("depth", 4, 5.0, 60),
    TriedCost("kind", "b", 90.0, 900),
]


def cost(depth: int = 8, kind: str = "a") -> tuple[int, float]:
    estimate = learned_estimate(BASELINE, TRIED)
    assert estimate is not None
    found = estimate({"depth": depth, "kind": kind})
    assert found is not None
    return found.peak_bytes, found.time_ratio


def test_before_the_baseline_nothing_is_estimated() -> None:
    assert learned_estimate(BASELINE, []) is None


def test_between_two_values_the_costlier_counts_and_beyond_all_the_outermost() -> None:
    assert cost(depth=10) == (300, 2.0)
    assert cost(depth=6) == (100, 1.0)
    assert cost(depth=2) == (60, 0.5)
    assert cost(depth=99) == (300, 2.0)


def test_a_word_has_no_neighbours_but_the_baseline() -> None:
    assert cost(kind="c") == (100, 1.0)


def test_a_candidate_of_several_changes_costs_as_the_costliest_of_them() -> None:
    assert cost(depth=12, kind="a") == (300, 2.0)
    assert cost(depth=12, kind="c") == (300, 2.0)


def test_the_cost_of_several_changes_is_booked_on_none_of_them() -> None:
    joint = ProposalRecord(knob="depth", new_value=9, reason="", also=(KnobChange(knob="kind", new_value="b"),))
    failed = Failure(cause=Cause.TIMEOUT, detail="", trial_wall_s=90.0)
    assert list(costs_of(joint, [failed])) == []
    assert len(list(costs_of(joint.model_copy(update={"also": ()}), [failed]))) == 1
