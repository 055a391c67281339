"""Which configurations of the joint space a table measures."""

from __future__ import annotations

from itertools import islice

import pytest

from autoresearch.benches.proposers.joint_plan import draw_round, take_new
from autoresearch.errors import ConfigError
from rails.menu import parse_menu

MENU = parse_menu(
    {
        "version": 1,
        "knobs": {
            "lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True, "default": 1e-3},
            "depth": {"type": "int", "low": 1, "high": 12, "default": 4},
            "act": {"type": "choice", "choices": ["relu", "gelu", "silu"], "default": "gelu"},
        },
    }
)
BASELINE = {**MENU.defaults, "seed_of_script": 7}
BEST = {**BASELINE, "lr": 0.05, "depth": 11, "act": "relu"}


def drawn(count, *, number=1, seed=0, best=()):
    return list(islice(draw_round(MENU, BASELINE, number, seed, list(best)), count))


def test_every_value_is_on_the_menu_and_other_fields_keep_the_baselines_value():
    for cfg in drawn(200, best=[BEST]):
        assert set(cfg) == set(BASELINE)
        assert cfg["seed_of_script"] == 7
        assert all(MENU.knobs[name].accept(cfg[name])[0] == cfg[name] for name in MENU.knobs)


def test_the_same_round_draws_the_same_and_another_draws_others():
    assert drawn(30, best=[BEST]) == drawn(30, best=[BEST])
    assert drawn(30) != drawn(30, number=2)
    assert drawn(30) != drawn(30, seed=1)


def test_a_third_of_a_round_lies_near_what_was_best_before():
    def near(cfg):
        return cfg["depth"] >= 10 and cfg["lr"] > 0.02

    share = sum(map(near, drawn(600, best=[BEST]))) / 600
    assert share > 2 * sum(map(near, drawn(600))) / 600


def test_crashing_configurations_are_taken_too_and_do_not_count():
    def crashes(cfg):
        return cfg["depth"] > 6

    taken = take_new(draw_round(MENU, BASELINE, 0, 0, []), 40, lambda _: True, crashes, set())
    assert sum(not crashes(cfg) for cfg in taken) == 40
    assert any(map(crashes, taken))
    assert len({tuple(cfg.items()) for cfg in taken}) == len(taken)


def test_a_space_without_that_many_configurations_is_an_error_with_the_count():
    small = parse_menu({"version": 1, "knobs": {"d": {"type": "int", "low": 1, "high": 4, "default": 1}}})
    with pytest.raises(ConfigError, match="found 4 new configurations to measure of 9"):
        take_new(draw_round(small, {"d": 1}, 0, 0, []), 9, lambda _: True, lambda _: False, set())
