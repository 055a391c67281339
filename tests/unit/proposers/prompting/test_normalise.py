"""What is certain in a malformed proposal is rewritten; what could be meant in two ways is left for the rails."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.proposers.prompting.normalise import normalise
from rails import Rail, default_menu, gate

MENU = default_menu()
GOOD = {"knob": "lr", "new_value": 0.002, "reason": "twice"}


def text(**changes: object) -> str:
    return json.dumps({key: value for key, value in (GOOD | changes).items() if value is not ...})


# Given; the proposal it means; what is recorded of the change.
REWRITTEN = {
    "a key too many": (text(confidence=0.9), ("lr", 0.002), "dropped 1 extra key"),
    "keys too many": (text(why="x", old_value={"a": [1]}), ("lr", 0.002), "dropped 2 extra keys"),
    "no reason": (text(reason=...), ("lr", 0.002), "reason: missing"),
    "null as the reason": (text(reason=None), ("lr", 0.002), "reason: missing"),
    "a long reason": (text(reason="because " * 100), ("lr", 0.002), "reason: cut"),
    "a reason of 40,000 characters": (text(reason="because " * 5000), ("lr", 0.002), "reason: cut"),
    "a list as the reason": (text(reason=["a", "b"]), ("lr", 0.002), "reason: a list to text"),
    "a number as the reason": (text(reason=7), ("lr", 0.002), "reason: a whole number to text"),
    "lines in the reason": (text(reason="a\nb\t"), ("lr", 0.002), "reason: control characters to spaces"),
    "bidirectional marks in the reason": (text(reason="a\u202eb"), ("lr", 0.002), "reason: control"),
    "a float as text": (text(new_value="0.002"), ("lr", 0.002), "new_value: text to a number"),
    "a float as text with an exponent": (text(new_value=" 2e-3 "), ("lr", 0.002), "new_value: text to a number"),
    "a float without its zero": (text(new_value=".002"), ("lr", 0.002), "new_value: text to a number"),
    "zero as text": (text(knob="weight_decay", new_value="+0.06"), ("weight_decay", 0.06), "new_value"),
    "an integer as text": (text(knob="n_layer", new_value="12"), ("n_layer", 12), "new_value: text to a whole number"),
    "a whole float for an integer": (text(knob="n_layer", new_value=12.0), ("n_layer", 12), "a number to a whole"),
    "a whole float as text": (text(knob="n_layer", new_value="12.0"), ("n_layer", 12), "text to a whole number"),
    "a choice as text": (text(knob="d_model", new_value="512"), ("d_model", 512), "text to a whole number"),
    "a choice as a float": (text(knob="d_model", new_value=512.0), ("d_model", 512), "a number to a whole number"),
    "a word in another case": (text(knob="precision", new_value="BF16 "), ("precision", "bf16"), "new_value"),
    "a knob in another case": (text(knob=" LR"), ("lr", 0.002), "knob: written as on the menu"),
    "all of it": (text(knob="Lr", new_value="2e-3", reason=..., a=1), ("lr", 0.002), "dropped 1 extra key"),
}

LEFT = {
    "a good one": (text(), Rail.PASSED),
    "an empty reason": (text(reason=""), Rail.PASSED),
    "a decimal comma": (text(new_value="0,06"), Rail.R3_RANGE),
    "a percent sign": (text(new_value="5%"), Rail.R3_RANGE),
    "thousands": (text(knob="d_model", new_value="1,024"), Rail.R3_RANGE),
    "a unit": (text(new_value="0.002 per step"), Rail.R3_RANGE),
    "a word": (text(new_value="high"), Rail.R3_RANGE),
    "hexadecimal": (text(knob="n_layer", new_value="0x10"), Rail.R3_RANGE),
    "other digits": (text(knob="n_layer", new_value="\u0661\u0662"), Rail.R3_RANGE),
    "infinity": (text(new_value="inf"), Rail.R3_RANGE),
    "a half": (text(knob="n_layer", new_value=12.5), Rail.R3_RANGE),
    "true": (text(knob="n_layer", new_value=True), Rail.R3_RANGE),
    "null": (text(new_value=None), Rail.R3_RANGE),
    "a list": (text(new_value=[0.002]), Rail.R3_RANGE),
    "a number for a word": (text(knob="precision", new_value=16), Rail.R3_RANGE),
    "no such knob": (text(knob="learning_rate"), Rail.R2_MENU),
    "a list of knobs": (text(knob=["lr"]), Rail.R1_SCHEMA),
    "no value": (text(new_value=...), Rail.R1_SCHEMA),
    "a key twice": (text()[:-1] + ', "knob": "lr"}', Rail.R1_SCHEMA),
    "a value twice": (text()[:-1] + ', "new_value": 0.001}', Rail.R1_SCHEMA),
    "NaN": (text().replace("0.002", "NaN"), Rail.R1_SCHEMA),
    "an extra key twice": (text()[:-1] + ', "a": 1, "a": 2}', Rail.R1_SCHEMA),
    "no JSON": ("lr = 0.002", Rail.R1_SCHEMA),
    "a list of proposals": (f"[{text()}]", Rail.R1_SCHEMA),
}


@pytest.mark.parametrize("name", REWRITTEN)
def test_what_is_certain_is_rewritten_and_passes(name):
    proposal, meant, change = REWRITTEN[name]
    refused = gate(proposal, MENU.defaults)
    assert not refused.ok, "the rails themselves stay strict"
    judged, recorded = normalise(proposal, MENU)
    passed = gate(judged, MENU.defaults).proposal
    assert passed is not None
    assert (passed.knob, passed.new_value) == meant
    assert recorded.original == proposal
    assert change in "; ".join(recorded.changes)
    assert normalise(judged, MENU) == (judged, None)


@pytest.mark.parametrize("name", LEFT)
def test_what_is_good_or_uncertain_is_left_byte_for_byte(name):
    proposal, rail = LEFT[name]
    assert normalise(proposal, MENU) == (proposal, None)
    assert gate(proposal, MENU.defaults).rail is rail


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=True) | st.integers() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([*MENU.knobs, "mood"]) | JSON, JSON, JSON, st.dictionaries(st.text(), JSON, max_size=2))
def test_no_value_raises_and_what_is_good_is_never_touched(knob, value, reason, more):
    proposal = json.dumps({**more, "knob": knob, "new_value": value, "reason": reason})
    judged, recorded = normalise(proposal, MENU)
    assert (recorded is None) == (judged == proposal)
    if gate(proposal, MENU.defaults).ok:
        assert judged == proposal


@given(st.text())
def test_no_text_raises(proposal):
    normalise(proposal, MENU)


def several(*changes, **more):
    return json.dumps({"changes": list(changes), "reason": "both", **more})


def test_each_change_of_a_list_is_rewritten_alike():
    given = several({"knob": "LR", "new_value": "0.002", "why": "x"}, {"knob": "n_layer", "new_value": 6.0}, more=1)
    assert not gate(given, MENU.defaults, max_changes=2).ok
    judged, recorded = normalise(given, MENU, several=True)
    assert gate(judged, MENU.defaults, max_changes=2).proposal.changes == (("lr", 0.002), ("n_layer", 6))
    assert recorded.original == given
    assert "dropped 1 extra key" in recorded.changes


def test_a_good_list_is_left_as_it_is_and_so_is_one_that_is_not_allowed():
    good = several({"knob": "lr", "new_value": 0.002}, {"knob": "n_layer", "new_value": 6})
    assert normalise(good, MENU, several=True) == (good, None)
    bad = several({"knob": "LR", "new_value": 0.002})
    assert normalise(bad, MENU) == (bad, None)
