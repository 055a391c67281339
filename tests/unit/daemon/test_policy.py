"""An error of baseline or menu names the knob and the setting to change."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autoresearch.daemon.policy import build_policy, refuse_differences
from autoresearch.errors import ConfigError, YardstickMismatch
from rails import STRUCTURAL_KNOBS, default_menu


@pytest.mark.parametrize(
    ("changes", "what", "hint"),
    [
        (
            {"baseline.lr": 5.0},
            "menu: knobs.lr.default: lr = 5.0 is outside",
            "change baseline.lr, or what menu.knobs.lr allows",
        ),
        (
            {"baseline.precision": "fp7"},
            "menu: knobs.precision.default: precision = 'fp7'",
            "change baseline.precision, or",
        ),
        ({"menu.knobs.n_layer.high": 1}, "menu: knobs.n_layer.default: n_layer = ", "menu.knobs.n_layer allows"),
        ({"menu.knobs.lr.low": 1}, "menu: knobs.lr: low = 1 is above high", "change menu.knobs.lr, in the settings"),
        ({"menu.knobs.lr.low": "x"}, "menu: knobs.lr.low: ", "change menu.knobs.lr.low, in"),
        ({"menu.knobs.nope.low": 1}, "menu: knobs.nope: there is no such knob", "change menu.knobs.nope"),
        ({"menu.constraints": 3}, "menu: constraints: a list", "menu.constraints"),
    ],
)
def test_the_error_names_the_knob_and_its_setting(make_settings, changes: dict[str, Any], what: str, hint: str):
    with pytest.raises(ConfigError) as error:
        build_policy(make_settings(changes))
    assert error.value.what.startswith(what)
    assert hint in error.value.hint


def test_a_constraint_names_the_knobs_that_break_it(make_settings):
    with pytest.raises(ConfigError) as error:
        build_policy(make_settings({"baseline.d_model": 32, "baseline.n_head": 8, "baseline.beta2": 0.9}))
    named = [n for n in ("d_model", "n_head", "beta1", "beta2", "lr") if f"baseline.{n}" in error.value.hint]
    assert named
    assert "baseline.NAME" not in error.value.hint


def test_a_structural_knob_is_on_the_menu_by_name_with_the_origins_value_as_its_baseline(make_settings):
    policy = build_policy(make_settings({"menu.knobs.activation": {}}))
    assert policy.baseline["activation"] == "gelu"
    assert list(policy.baseline) == list(policy.menu.knobs)
    plain = build_policy(make_settings())
    assert policy.steps(policy.baseline) == plain.steps(plain.baseline)
    other = build_policy(make_settings({"menu.knobs.activation": {}, "baseline.activation": "relu2"}))
    assert other.baseline["activation"] == other.menu.knobs["activation"].default == "relu2"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"baseline.activation": "relu2"}, "baseline.activation: activation is not on the menu"),
        ({"menu.knobs.activation": {"choices": ["gelu", "silu"]}}, "menu: knobs.activation.choices: 'silu' is not"),
        ({"menu.knobs.activation": {"choices": ["relu2"]}}, "menu: knobs.activation.default: "),
        ({"menu.knobs.activation": {"type": "int", "low": 1, "high": 2}}, "menu: knobs.activation.default: "),
        ({"menu.knobs.activation": {}, "baseline.activation": 3}, "menu: knobs.activation.default: "),
        ({"menu.knobs.activation": "relu2"}, "menu: knobs.activation: a table"),
    ],
)
def test_a_structural_knob_that_the_trainer_does_not_have_is_refused(make_settings, changes: dict[str, Any], what: str):
    with pytest.raises(ConfigError) as error:
        build_policy(make_settings(changes))
    assert error.value.what.startswith(what)


def test_a_menu_file_may_have_a_structural_knob(make_settings, tmp_path):
    source = {**default_menu().source}
    source["knobs"] = {**source["knobs"], "head": STRUCTURAL_KNOBS["head"].menu_entry}
    file = tmp_path / "menu.json"
    file.write_text(json.dumps(source))
    baseline = {f"baseline.{name}": value for name, value in default_menu().defaults.items()}
    policy = build_policy(make_settings({**baseline, "menu_file": file}))
    assert list(policy.menu.knobs)[-1] == "head"
    assert policy.baseline["head"] == "tied"
    source["knobs"]["mood"] = {"type": "int", "low": 0, "high": 1, "default": 0}
    file.write_text(json.dumps(source))
    with pytest.raises(ConfigError, match=r"knobs\.mood: the trainer has no such knob; it has n_layer, .*head"):
        build_policy(make_settings({**baseline, "menu_file": file}))


def test_a_run_is_not_continued_with_a_structural_knob_more(make_settings):
    plain, wider = (build_policy(make_settings(changes)) for changes in ({}, {"menu.knobs.head": {}}))
    with pytest.raises(YardstickMismatch):
        refuse_differences(plain.parts, wider.parts)
