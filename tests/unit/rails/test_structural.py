"""The table of structural knobs, and how a menu takes them up."""

from __future__ import annotations

import json

import pytest

from rails import STRUCTURAL_KNOBS, ChoiceKnob, MenuError, Rail, default_menu, gate, parse_menu
from rails.structural import unknown_structure, value_of

ENTRIES = {name: knob.menu_entry for name, knob in STRUCTURAL_KNOBS.items()}


def test_the_shipped_menu_keeps_its_13_knobs() -> None:
    assert len(default_menu().knobs) == 13
    assert default_menu().sha256.startswith("baf93e1bca93fb5a"), "no earlier run could be continued"
    assert not set(STRUCTURAL_KNOBS) & set(default_menu().knobs)


@pytest.mark.parametrize("name", STRUCTURAL_KNOBS)
def test_a_menu_takes_up_a_structural_knob_by_its_name(name: str) -> None:
    menu = default_menu().override({"knobs": {name: {}}}, optional=ENTRIES)
    knob = menu.knobs[name]
    assert isinstance(knob, ChoiceKnob)
    assert (knob.choices, knob.default) == (STRUCTURAL_KNOBS[name].choices, STRUCTURAL_KNOBS[name].origin)
    assert len(knob.doc) > 20
    assert len(menu.knobs) == 14
    assert parse_menu(menu.source).sha256 == menu.sha256


def test_it_is_not_taken_up_where_it_is_not_offered() -> None:
    with pytest.raises(MenuError, match="there is no such knob"):
        default_menu().override({"knobs": {"activation": {}}})
    with pytest.raises(MenuError, match=r"knobs\.activatoin: there is no such knob; .*precision, .*activation"):
        default_menu().override({"knobs": {"activatoin": {}}}, optional=ENTRIES)
    with pytest.raises(MenuError, match=r"knobs\.activatoin: there is no such knob"):
        default_menu().override({"knobs": {"activatoin": {}}}, optional=ENTRIES)


@pytest.mark.parametrize("name", STRUCTURAL_KNOBS)
def test_the_rails_judge_its_values(name: str) -> None:
    menu = default_menu().override({"knobs": {name: {}}}, optional=ENTRIES)
    other = STRUCTURAL_KNOBS[name].others[0]

    def rail(value: object) -> Rail:
        raw = json.dumps({"knob": name, "new_value": value, "reason": "r"})
        return gate(raw, menu.defaults, menu).rail

    assert rail(other) == Rail.PASSED
    assert rail(STRUCTURAL_KNOBS[name].origin) == Rail.R6_NOVELTY
    assert {rail(value) for value in (other.upper(), f" {other}", 1, True, None, [other], "")} == {Rail.R3_RANGE}
    raw = json.dumps({"knob": name, "new_value": other, "reason": "r"})
    assert gate(raw, default_menu().defaults).rail == Rail.R2_MENU


@pytest.mark.parametrize("name", STRUCTURAL_KNOBS)
def test_a_configuration_without_it_has_the_origins_part(name: str) -> None:
    assert value_of({}, name) == STRUCTURAL_KNOBS[name].origin
    assert unknown_structure({}) == ""
    assert unknown_structure({name: STRUCTURAL_KNOBS[name].others[0]}) == ""
    choices = ", ".join(STRUCTURAL_KNOBS[name].choices)
    assert unknown_structure({name: "other"}) == f"{name} = 'other' is not one of {choices}"
    assert unknown_structure({name: 1})
