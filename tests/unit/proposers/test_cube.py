"""Configurations to the unit cube and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.proposers.cube import ONE_HOT, Cube, is_log, position, value_at
from autoresearch.proposers.space import round_value
from rails import FloatKnob, IntKnob, default_menu, parse_menu

ODD = parse_menu(
    {
        "version": 1,
        "knobs": {
            "words": {"type": "choice", "choices": ["a", "b", "c"], "default": "b"},
            "one": {"type": "choice", "choices": ["only"], "default": "only"},
            "ranks": {"type": "choice", "choices": [1, 8, 512], "default": 8},
            "fixed": {"type": "int", "low": 3, "high": 3, "default": 3},
            "count": {"type": "int", "low": 1, "high": 64, "default": 2},
            "rate": {"type": "float", "low": 1e-4, "high": 1.0, "default": 0.01, "log": True},
            "flat": {"type": "float", "low": 0.5, "high": 0.5, "default": 0.5},
        },
    }
)


def test_a_configuration_has_a_place_and_comes_back_from_it():
    for menu in (ODD, default_menu()):
        cube = Cube(menu)
        assert cube.config(cube.places([menu.defaults])[0]) == menu.defaults


def test_words_have_a_coordinate_each_and_two_of_them_are_one_apart():
    cube = Cube(ODD)
    a, c = (cube.expand(cube.places([{**ODD.defaults, "words": word}]))[0] for word in ("a", "c"))
    assert np.linalg.norm(a - c) == pytest.approx(1.0)
    assert sorted(a[:3]) == [0.0, 0.0, ONE_HOT]
    assert len(a) == len(cube.owner) == 9


def test_ranks_are_evenly_spaced_and_wide_ranges_logarithmic():
    knobs = ODD.knobs
    assert [position(knobs["ranks"], v) for v in (1, 8, 512)] == [0.0, 0.5, 1.0]
    assert position(knobs["rate"], 0.01) == pytest.approx(0.5)
    assert is_log(knobs["count"])
    assert position(knobs["count"], 8) == pytest.approx(0.5)


def test_a_value_off_the_menu_is_clipped():
    assert position(ODD.knobs["count"], 1000) == 1.0
    assert position(ODD.knobs["rate"], -1) == 0.0
    assert position(ODD.knobs["ranks"], 9) == 0.5
    assert position(ODD.knobs["words"], "z") == 0.0


@given(st.lists(st.floats(-0.5, 1.5), min_size=7, max_size=7))
def test_every_snapped_place_is_a_value_of_the_menu_and_snapping_again_changes_nothing(row):
    cube = Cube(ODD)
    snapped = cube.snap(np.array([row]))
    cfg = cube.config(snapped[0])
    assert ODD.check_config(cfg, None) == ""
    np.testing.assert_allclose(cube.snap(snapped), snapped, atol=1e-9)
    np.testing.assert_allclose(cube.places([cfg])[0], snapped[0], atol=2e-3)  # floats have four digits


@given(st.integers(1, 64))
def test_whole_numbers_come_back(value):
    knob = IntKnob("n", 1, 64, 1)
    assert value_at(knob, position(knob, value)) == value


@given(st.floats(1e-4, 1.0))
def test_real_numbers_come_back_to_four_digits(value):
    knob = FloatKnob("x", 1e-4, 1.0, 0.1, log=True)
    rounded = round_value(value, 1e-4, 1.0)
    assert value_at(knob, position(knob, rounded)) == pytest.approx(rounded, rel=1e-3)
