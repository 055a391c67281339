"""The table of knob facts and the shipped menu have the same knobs; the derived names are those that were hashed."""

from __future__ import annotations

from rails import ChoiceKnob, FloatKnob, Knob, default_menu
from rails.knob_facts import (
    INTEGER_KNOBS,
    KNOB_FACTS,
    MODEL_SHAPE_KNOBS,
    NUMBER_KNOBS,
    TIMED_KNOBS,
    UNTIMED_KNOBS,
)


def kind_of(knob: Knob) -> str:
    if isinstance(knob, ChoiceKnob) and isinstance(knob.choices[0], str):
        return "name"
    return "number" if isinstance(knob, FloatKnob) else "integer"


def test_each_knob_of_the_shipped_menu_is_in_the_table_and_no_other():
    assert list(KNOB_FACTS) == list(default_menu().knobs)


def test_the_kinds_are_those_of_the_menu():
    assert {name: facts.kind for name, facts in KNOB_FACTS.items()} == {
        name: kind_of(knob) for name, knob in default_menu().knobs.items()
    }


def test_a_knob_that_shapes_the_model_changes_the_time_of_a_step():
    assert set(MODEL_SHAPE_KNOBS) <= set(TIMED_KNOBS)


def test_the_derived_names_and_their_order_are_those_that_records_and_caches_were_hashed_with():
    assert INTEGER_KNOBS == ("n_layer", "n_head", "d_model", "d_ff", "lr_warmup", "batch_size", "seq_len")
    assert NUMBER_KNOBS == ("lr", "grad_clip", "weight_decay", "beta1", "beta2")
    assert MODEL_SHAPE_KNOBS == ("n_layer", "n_head", "d_model", "d_ff", "seq_len")
    assert TIMED_KNOBS == ("n_layer", "n_head", "d_model", "d_ff", "batch_size", "seq_len", "precision")
    assert {"lr", "lr_warmup", "grad_clip", "weight_decay", "beta1", "beta2"} == UNTIMED_KNOBS
