"""The plan of a stack, played against worlds whose gains are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from autoresearch.verdicts.stack import Changes, Stack, Tried, keeps_in_order, parts_of, plan_stack, unite

World = Callable[[Changes], float | None]  # the gain of a candidate; None: it fails
NEEDED = 0.005


def start(*candidates: tuple[Mapping[str, float], float]) -> list[Tried]:
    return [Tried(n, dict(c), gain, gain >= NEEDED) for n, (c, gain) in enumerate(candidates, 1)]


def play(tried: list[Tried], world: World, most: int = 200) -> tuple[Stack, list[Changes]]:
    """Measure what is wanted until nothing is."""
    proposed: list[Changes] = []
    while (plan := plan_stack(tried, lambda _c: True)).wanted is not None:
        assert len(proposed) < most
        assert plan.needed > 0
        gain = world(plan.wanted)
        proposed.append(plan.wanted)
        keep = gain is not None and gain >= NEEDED
        tried = [*tried, Tried(len(tried) + 1, plan.wanted, gain, keep, is_union=True)]
    return plan, proposed


def additive(gains: Mapping[str, float]) -> World:
    return lambda changes: sum(gains[k] for k in changes)


def test_no_keeps_and_one_keep_of_one_knob_leave_nothing_to_do():
    assert plan_stack([]) == Stack(None)
    plan, proposed = play(start(({"a": 1}, 0.01), ({"b": 1}, -0.01)), additive({"a": 0.01}))
    assert proposed == []
    assert plan.best is not None
    assert plan.best.iter == 1


def test_unions_follow_the_order_of_gain_and_the_final_stack_is_ablated():
    gains = {"a": 0.01, "b": 0.03, "c": 0.02}
    plan, proposed = play(start(*(({k: 1}, g) for k, g in gains.items())), additive(gains))
    assert proposed == [{"b": 1, "c": 1}, {"b": 1, "c": 1, "a": 1}, {"c": 1, "a": 1}, {"b": 1, "a": 1}]
    assert plan.best is not None
    assert plan.best.changes == {"a": 1, "b": 1, "c": 1}
    assert {x.knob: x.without.gain_frac for x in plan.ablation if x.without} == {"a": 0.05, "b": 0.03, "c": 0.04}
    assert [s.outcome for s in plan.steps] == ["added", "added"]


def test_two_keeps_that_cancel_are_not_both_in_the_stack():
    def world(changes: Changes) -> float:
        return (
            0.03 * ("b" in changes)
            + 0.02 * ("c" in changes)
            + 0.01 * ("a" in changes)
            - 0.03 * ({"b", "c"} <= set(changes))
        )

    plan, proposed = play(start(({"a": 1}, 0.01), ({"b": 1}, 0.03), ({"c": 1}, 0.02)), world)
    assert proposed == [{"b": 1, "c": 1}, {"b": 1, "a": 1}]
    assert [s.outcome for s in plan.steps] == ["held back", "added"]
    assert plan.best is not None
    assert plan.best.changes == {"a": 1, "b": 1}


def test_of_conflicting_knobs_the_better_one():
    tried = start(({"lr": 2}, 0.01), ({"lr": 3}, 0.02), ({"lr": 1, "b": 1}, 0.015))
    plan, proposed = play(tried, lambda c: 0.03 if "b" in c and "lr" in c else 0.005)
    assert proposed[0] == {"lr": 3, "b": 1}
    assert [s.outcome for s in plan.steps] == ["added", "same knobs"]
    assert unite({"lr": 3}, {"lr": 1, "b": 1}) == {"lr": 3, "b": 1}


def test_a_stack_that_gains_as_much_without_a_knob_goes_on_without_it():
    world = additive({"a": 0.0, "b": 0.03, "c": 0.02})
    tried = start(({"a": 1, "b": 1, "c": 1}, 0.045))
    plan, _ = play(tried, world)
    assert plan.best is not None
    assert plan.best.changes == {"b": 1, "c": 1}


def test_what_is_not_possible_is_skipped():
    tried = start(({"a": 1}, 0.03), ({"b": 1}, 0.02), ({"c": 1}, 0.01))
    plan = plan_stack(tried, lambda c: "b" not in c)
    assert plan.wanted == {"a": 1, "c": 1}
    assert [s.outcome for s in plan.steps] == ["not possible", "not measured"]


def test_a_failed_union_is_not_repeated():
    plan, proposed = play(start(({"a": 1}, 0.03), ({"b": 1}, 0.02)), lambda _c: None)
    assert proposed == [{"a": 1, "b": 1}]
    assert plan.best is not None
    assert plan.best.iter == 1


def test_unions_of_the_stack_are_not_parts():
    tried = [*start(({"a": 1}, 0.03), ({"b": 1}, 0.02)), Tried(3, {"a": 1, "b": 1}, 0.05, True, is_union=True)]
    assert [t.iter for t in keeps_in_order(tried)] == [1, 2]
    assert [t.iter for t in parts_of(tried[2], keeps_in_order(tried))] == [1, 2]
    assert parts_of(tried[0], keeps_in_order(tried)) == []


values = st.sampled_from([1, 2])
changes = st.dictionaries(st.sampled_from("abcdef"), values, min_size=1, max_size=3)


@given(st.lists(st.tuples(changes, st.floats(-0.02, 0.05)), max_size=8), st.integers(0, 1000))
def test_it_ends_never_repeats_and_its_stack_is_the_best_on_its_way(candidates, world_seed):
    import random

    unique = {frozenset(c.items()): (c, g) for c, g in candidates}
    tried = start(*unique.values())

    def world(c: Changes) -> float:
        return random.Random(f"{world_seed}{sorted(c.items())}").uniform(-0.02, 0.08)

    plan, proposed = play(tried, world)
    keys = [frozenset(p.items()) for p in proposed]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & set(unique)
    confirmed = {pair for t in tried if t.is_keep for pair in t.changes.items()}
    assert all(key <= confirmed for key in keys)
    if plan.best is not None:
        parts = keeps_in_order(tried)
        assert plan.best.is_keep
        assert (plan.best.gain_frac or 0) >= (parts[0].gain_frac or 0)
