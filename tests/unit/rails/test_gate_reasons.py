"""What a verdict says: the refused value, the suggestion, the rule, and the proposal that is kept for the record."""

from __future__ import annotations

import json

import pytest

from rails import Estimate, Proposal, Rail, Tried, default_menu, gate, parse_menu
from rails.checks import diff_lines

MENU = default_menu()
BASELINE = MENU.defaults


def reply(knob: object = "lr", new_value: object = 1e-3, reason: object = "a hunch") -> str:
    return json.dumps({"knob": knob, "new_value": new_value, "reason": reason})


def test_r6_and_r7_keep_proposal_and_diff_for_the_record():
    diff = gate(reply(), BASELINE).diff
    known = Tried(BASELINE)
    known.add(BASELINE | {"lr": 1e-3}, "measured")
    for verdict in (
        gate(reply(), BASELINE, known=known),
        gate(reply(), BASELINE, estimate=lambda _: Estimate(1, 9.0)),
    ):
        assert (verdict.proposal, verdict.diff) == (Proposal("lr", 1e-3, "a hunch"), diff)
        assert verdict.candidate is None


def test_the_reasons_show_the_value_that_was_refused():
    assert gate(reply(reason=["x"]), BASELINE).reason == "reason must be a string, not ['x']"
    assert gate(reply(), 3).reason == "the baseline is not a configuration: 3"
    assert diff_lines(["lr"], BASELINE, BASELINE | {"extra": 1})[1] == (
        "the change touches another set of fields, not lr alone"
    )


def test_a_knob_is_suggested_by_the_first_40_characters_of_a_name_that_is_unknown():
    name = "a" * 24 + "b" * 16
    menu = parse_menu({"version": 1, "knobs": {name: {"type": "int", "low": 1, "high": 2, "default": 1}}})
    verdict = gate(reply("a" * 24 + "c" * 99), menu.defaults, menu)
    assert verdict.reason.endswith(f"; did you mean {name}?")


def test_a_rule_after_one_of_steps_still_counts_where_there_are_no_steps():
    rules = [{"name": "a", "rule": "steps > 0"}, {"name": "b", "rule": "lr < 5e-4"}]
    menu = MENU.override({"constraints": rules})
    assert gate(reply(), BASELINE, menu, steps=None).rail == Rail.R4_CROSS


@pytest.mark.parametrize(
    ("knob", "value", "start"),
    [("n_head", "x", "n_head takes a whole number out of {"), ("precision", 3, "precision takes a string out of {"),
     ("n_layer", "x", "n_layer takes a whole number, not ")],
)  # fmt: skip
def test_r3_says_which_type_it_takes_and_what_it_was_given(knob, value, start):
    reason = gate(reply(knob, value), BASELINE).reason
    assert reason.startswith(start)
    assert reason.endswith(f"not {value!r}")
