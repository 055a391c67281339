"""The gate against a second implementation of the rails. In full: python -m tests.rails_oracle --proposals 1000000."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from rails import default_menu, parse_menu
from rails.bench import load_cases
from tests.examples import examples
from tests.rails_oracle import oracle
from tests.rails_oracle.compare import compare, judge
from tests.rails_oracle.worlds import draw_reply, draw_world

MENU = default_menu()
SHIPPED = oracle.World(dict(MENU.source), MENU.defaults)


def test_both_judge_generated_proposals_alike():
    counts, differences = compare(3000, seed=20261126)
    assert differences == []
    assert set(counts) == {
        "R1_schema", "R2_menu", "R3_range", "R4_cross", "R5_diff_lint", "R6_novelty", "R7_budget", "passed",
    }  # fmt: skip


@settings(max_examples=examples(200), deadline=None)
@given(st.integers(0, 2**40))
def test_both_judge_the_same_world_alike(seed):
    chance = random.Random(seed)
    world = draw_world(chance)
    menu = parse_menu(world.menu)
    for _ in range(3):
        raw = draw_reply(world, chance)
        assert judge(raw, world, menu) == oracle.rail(raw, world)


JSON_TEXT = st.text(alphabet='{}[]",:0123456789.eE+-\\u/ \n\ttruefalsnkowd_vibc\ud83d\ude00\u2028', max_size=60)
KNOB = st.sampled_from(["lr", "n_layer", "precision", "LR", ""]) | st.text(max_size=4)
FRAGMENT = st.sampled_from(["0.001", "-0", "1e400", "01", "NaN", '"bf16"', "true", "[1]", "4.0", "12"]) | JSON_TEXT


@settings(max_examples=examples(300), deadline=None)
@given(JSON_TEXT | st.builds('{{"knob": "{}", "new_value": {}, "reason": "{}"}}'.format, KNOB, FRAGMENT, JSON_TEXT))
def test_both_read_any_text_alike(text):
    assert judge(text, SHIPPED, MENU) == oracle.rail(text, SHIPPED)


@settings(max_examples=examples(200), deadline=None)
@given(st.binary(max_size=60))
def test_both_read_any_bytes_alike(raw):
    for reply in (raw, b'{"knob": "lr", "new_value": 0.001, "reason": "' + raw + b'"}'):
        assert judge(reply, SHIPPED, MENU) == oracle.rail(reply, SHIPPED)


PLAIN = [case for case in load_cases() if case.context == "shipped" and case.estimate is case.candidate is None]


def test_the_oracle_agrees_with_the_named_cases():
    assert len(PLAIN) >= 500
    differ = []
    for case in PLAIN:
        baseline = {**MENU.defaults, **case.baseline}
        tried = [{**baseline, **change} for change in case.tried]
        world = oracle.World(dict(MENU.source), baseline, case.steps or 60, tried, max_changes=case.max_changes)
        if (rail := oracle.rail(case.text, world)) != case.rail:
            differ.append((case.name, case.rail, rail))
    assert differ == []
