"""What can still be proposed: steps from the baseline, draws from the menu, and nothing that is closed."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch.config.settings import Settings
from autoresearch.core.records import Attempt, ProposalRecord
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.random import RandomProposer
from autoresearch.proposers.space import Space
from autoresearch.testing.fake_loop import fake_loop
from rails import ChoiceKnob, FloatKnob, IntKnob, Rail, default_menu, same_value
from tests.examples import examples

MENU = default_menu()
BASELINE = MENU.defaults
SPACE = Space(MENU, BASELINE, 60)


def fresh(space: Space = SPACE) -> Trajectory:
    """A run that has just begun."""
    return fake_loop(Settings(baseline=dict(space.baseline)), RandomProposer(space, 0)).trajectory


@pytest.mark.parametrize(
    ("knob", "expected"),
    [
        ("n_layer", [29, 19]),
        ("n_head", [32, 8]),
        ("d_model", [1536, 768]),
        ("lr", [6e-4, 1.5e-4]),
        ("lr_warmup", [11, 0]),
        ("weight_decay", [0.05]),  # the baseline is at the lower end
        ("batch_size", [8]),  # and here at the upper
        ("precision", ["bf16"]),
    ],
)
def test_the_neighbours_are_one_sensible_step_up_and_down(knob, expected):
    assert SPACE.neighbours(MENU.knobs[knob]) == expected


@st.composite
def knob_and_value(draw) -> tuple:
    """Any knob that a menu may hold, and a value that its baseline may have."""
    kind = draw(st.sampled_from(["int", "float", "log", "choice"]))
    if kind == "choice":
        choices = tuple(draw(st.lists(st.integers(0, 99), min_size=1, max_size=6, unique=True).map(sorted)))
        return ChoiceKnob("k", choices, choices[0]), draw(st.sampled_from(choices))
    if kind == "int":
        low, high = sorted((draw(st.integers(-(10**6), 10**6)), draw(st.integers(-(10**6), 10**6))))
        return IntKnob("k", low, high, low), draw(st.integers(low, high))
    floats = st.floats(1e-12, 1e12) if kind == "log" else st.floats(-1e12, 1e12)
    low, high = sorted((draw(floats) + 0.0, draw(floats) + 0.0))  # without a negative zero
    return FloatKnob("k", low, high, low, kind == "log"), draw(st.floats(low, high))


@settings(max_examples=examples(300))
@given(knob_and_value())
def test_neighbours_are_on_the_menu_and_never_the_baseline(pair):
    knob, value = pair
    neighbours = Space(MENU, {"k": value}, None).neighbours(knob)
    assert len(neighbours) <= 2
    for neighbour in neighbours:
        assert knob.accept(neighbour) == (neighbour, "")
        assert type(neighbour) is type(value)
        assert not same_value(neighbour, value)


@settings(max_examples=examples(300))
@given(knob_and_value(), st.integers())
def test_draws_are_on_the_menu(pair, seed):
    knob, value = pair
    drawn = Space(MENU, {"k": value}, None).draw(knob, random.Random(seed))
    assert knob.accept(drawn) == (drawn, "")


def test_a_logarithmic_knob_is_drawn_by_its_ratios():
    """Of 1e-5 to 1e-2 a third of the draws belongs to each decade."""
    rng = random.Random(0)
    draws = [float(SPACE.draw(MENU.knobs["lr"], rng)) for _ in range(3000)]
    lowest, highest = sum(v < 1e-4 for v in draws), sum(v > 1e-3 for v in draws)
    assert 900 < lowest < 1100
    assert 900 < highest < 1100


def test_closed_is_what_the_menu_the_rules_or_the_run_forbid():
    trajectory = fresh()
    trajectory.known().add(BASELINE | {"lr": 1e-3}, "measured")
    assert SPACE.is_open("lr", 2e-3, trajectory, [])
    assert not SPACE.is_open("lr", 2.0, trajectory, [])  # out of range
    assert not SPACE.is_open("lr_warmup", 26, trajectory, [])  # 60 steps
    assert not SPACE.is_open("lr", 3e-4, trajectory, [])  # the baseline
    assert not SPACE.is_open("lr", 1e-3 * (1 + 1e-10), trajectory, [])  # measured


@pytest.mark.parametrize("rail", [Rail.R2_MENU, Rail.R4_CROSS, Rail.R6_NOVELTY, Rail.R7_BUDGET])
def test_closed_is_what_was_just_refused(rail):
    refusal = Attempt(
        raw="", source="random", verdict_ok=False, rail=rail, reason="no",
        proposal=ProposalRecord(knob="lr", new_value=2e-3, reason=""),
    )  # fmt: skip
    trajectory = fresh()
    assert not SPACE.is_open("lr", 2e-3, trajectory, [refusal])
    assert SPACE.is_open("lr", 3e-3, trajectory, [refusal])
    assert SPACE.is_open("beta1", 2e-3, trajectory, [refusal]) is False  # out of beta1's range
    assert SPACE.is_open("lr", 2e-3, trajectory, [])


@pytest.mark.parametrize("seed", range(5))
def test_chance_finds_the_last_open_value(seed):
    """Everything but one choice is known: a search by luck alone would rarely end there."""
    menu = MENU.override({"knobs": {"lr": {"low": 3e-4, "high": 3e-4}}})
    spaces = {n: k for n, k in menu.knobs.items() if isinstance(k, ChoiceKnob)}
    small = Space(type(menu)(spaces, (), menu.source), BASELINE, 60)
    trajectory = fresh()
    changes = [(n, c) for n, k in spaces.items() for c in k.choices if c != BASELINE[n]]
    last = changes.pop(seed % len(changes))
    for name, value in changes:
        trajectory.known().add(BASELINE | {name: value}, "measured")
    assert small.random_open(random.Random(seed), trajectory, []) == last
    trajectory.known().add(BASELINE | {last[0]: last[1]}, "measured")
    assert small.random_open(random.Random(seed), trajectory, []) is None
