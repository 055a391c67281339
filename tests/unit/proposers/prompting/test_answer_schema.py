"""The schema of an answer: what it admits passes the rails, and what is open is admitted."""

from __future__ import annotations

import json
import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch.config.settings import Settings
from autoresearch.core.ports import Exhausted
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.prompting.answer_schema import answer_schema
from autoresearch.proposers.random import RandomProposer
from autoresearch.proposers.space import Space
from autoresearch.testing.fake_loop import fake_loop
from rails import ChoiceKnob, Config, IntKnob, Rail, default_menu, gate
from tests.examples import examples

MENU = default_menu()
BASELINE = MENU.defaults
SPACE = Space(MENU, BASELINE, 60)
# What the grammar engines of vLLM, SGLang and llama.cpp understand.
KEYWORDS = {
    *("type", "properties", "required", "additionalProperties", "items", "minItems", "maxItems"),
    *("anyOf", "enum", "minimum", "maximum", "maxLength"),
}


def fresh(space: Space = SPACE) -> Trajectory:
    return fake_loop(Settings(baseline=dict(space.baseline)), RandomProposer(space, 0)).trajectory


def values(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The schema of ``new_value``, knob by knob."""
    kinds = [kind["properties"] for kind in schema["properties"]["proposals"]["items"]["anyOf"]]
    return {kind["knob"]["enum"][0]: kind["new_value"] for kind in kinds}


def keywords(schema: dict[str, Any]) -> set[str]:
    found = set(schema)
    for name, value in schema.items():
        parts = value.values() if name == "properties" else value if name == "anyOf" else [value]
        for part in parts:
            found |= keywords(part) if isinstance(part, dict) else set()
    return found


def test_a_fresh_run_may_propose_everything_but_the_baseline():
    schema = answer_schema(SPACE, fresh(), 3)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert values(schema) == {
        "n_layer": {"type": "integer", "enum": [n for n in range(4, 49) if n != 24]},
        "n_head": {"type": "integer", "enum": [4, 8, 32]},
        "d_model": {"type": "integer", "enum": [256, 512, 768, 1536, 2048]},
        "d_ff": {"type": "integer", "enum": [1024, 2048, 6144, 8192]},
        "lr": {"type": "number", "minimum": 1e-5, "maximum": 1e-2},
        "lr_warmup": {"type": "integer", "enum": [n for n in range(26) if n != 5]},  # 60 steps
        "grad_clip": {"type": "number", "minimum": 0.1, "maximum": 5.0},
        "weight_decay": {"type": "number", "minimum": 0.0, "maximum": 0.5},
        "beta1": {"type": "number", "minimum": 0.5, "maximum": 0.99},
        "beta2": {"type": "number", "minimum": 0.8, "maximum": 0.9999},
        "batch_size": {"type": "integer", "enum": [2, 4, 8]},
        "seq_len": {"type": "integer", "enum": [512, 2048]},
        "precision": {"type": "string", "enum": ["bf16"]},
    }
    listed = schema["properties"]["proposals"]
    assert (listed["minItems"], listed["maxItems"]) == (1, 3)


def test_it_uses_no_keyword_that_a_grammar_engine_may_not_know():
    schema = answer_schema(SPACE, fresh(), 3)
    assert keywords(schema) == KEYWORDS
    assert json.loads(json.dumps(schema)) == schema


def test_it_admits_an_answer_and_nothing_beside_it():
    check = jsonschema.Draft202012Validator(answer_schema(SPACE, fresh(), 2)).is_valid
    good = {"knob": "lr", "new_value": 1e-3, "reason": "higher"}
    assert check({"proposals": [good]})
    assert check({"proposals": [good, {"knob": "precision", "new_value": "bf16", "reason": ""}]})
    for bad in (
        [],
        [good] * 3,
        [good | {"new_value": 1.0}],
        [good | {"knob": "mood"}],
        [good | {"knob": "n_head"}],
        [good | {"more": 1}],
        [good | {"reason": "r" * 161}],
        [{"knob": "lr", "new_value": 1e-3}],
    ):
        assert not check({"proposals": bad}), bad
    assert not check({"proposals": [good], "thought": "x"})


def test_what_is_known_too_dear_or_used_up_is_left_out():
    dear = Space(MENU, BASELINE, 60, lambda cfg: "too dear" if cfg["d_model"] > 1024 else "")
    trajectory = fresh()
    for change in ({"d_model": 256}, {"precision": "bf16"}, *({"n_layer": n} for n in range(4, 49) if n != 24)):
        trajectory.known().add(BASELINE | change, "measured")
    listed = values(answer_schema(dear, trajectory, 1))
    assert listed["d_model"]["enum"] == [512, 768]
    assert not {"precision", "n_layer"} & set(listed)


def test_few_whole_numbers_are_listed_as_far_as_they_are_open():
    trajectory = fresh()
    for n in (4, 5, 7, 48):
        trajectory.known().add(BASELINE | {"n_layer": n}, "measured")
    still_open = [n for n in range(6, 48) if n not in (7, 24)]
    assert values(answer_schema(SPACE, trajectory, 1))["n_layer"] == {"type": "integer", "enum": still_open}


def test_many_whole_numbers_are_bounded_by_what_is_open():
    menu = MENU.override({"knobs": {"n_layer": {"low": 4, "high": 260}, "lr_warmup": {"low": 0, "high": 63}}})
    trajectory = fresh()
    for n in (4, 5, 7, 260):
        trajectory.known().add(BASELINE | {"n_layer": n}, "measured")
    listed = values(answer_schema(Space(menu, BASELINE, 400), trajectory, 1))
    assert listed["n_layer"] == {"type": "integer", "minimum": 6, "maximum": 259}
    assert listed["lr_warmup"]["enum"] == [n for n in range(64) if n != 5]


def test_a_menu_that_is_used_up_is_exhausted():
    menu = MENU.override({"knobs": {"lr": {"low": 3e-4, "high": 3e-4}, "n_layer": {"low": 24, "high": 24}}})
    closed = Space(type(menu)({n: menu.knobs[n] for n in ("lr", "n_layer")}, (), menu.source), BASELINE, 60)
    with pytest.raises(Exhausted):
        answer_schema(closed, fresh(), 1)


CHANGES = st.one_of(
    [
        st.tuples(
            st.just(name),
            st.sampled_from(knob.choices) if isinstance(knob, ChoiceKnob) else st.integers(knob.low, knob.high),
        )
        for name, knob in MENU.knobs.items()
        if isinstance(knob, ChoiceKnob | IntKnob)
    ]
)


@settings(max_examples=examples(100))
@given(
    known=st.lists(st.tuples(CHANGES, st.sampled_from(["measured", "failed", "unlucky"])), max_size=80),
    steps=st.integers(20, 200),
    seed=st.integers(0, 20),
)
def test_every_choice_that_is_admitted_passes_the_rails_and_every_open_one_is_admitted(known, steps, seed):
    def over_budget(cfg: Config) -> str:
        return "no" if seed and hash(tuple(cfg.values())) % 20 < seed % 7 else ""

    space, trajectory = Space(MENU, BASELINE, steps, over_budget), fresh()
    for (name, value), outcome in known:
        if value != BASELINE[name]:
            trajectory.known().add({**BASELINE, name: value}, outcome, retryable=outcome == "unlucky")
    listed = values(answer_schema(space, trajectory, 2))
    for name, knob in MENU.knobs.items():
        values_of = listed.get(name, {})
        ends = [values_of[end] for end in ("minimum", "maximum") if end in values_of and isinstance(knob, IntKnob)]
        for value in (*values_of.get("enum", ()), *ends):
            raw = json.dumps({"knob": name, "new_value": value, "reason": "why not"})
            assert gate(raw, BASELINE, MENU, steps=steps, known=trajectory.known()).rail is Rail.PASSED
        if isinstance(knob, ChoiceKnob | IntKnob):
            row = knob.choices if isinstance(knob, ChoiceKnob) else range(knob.low, knob.high + 1)
            still_open = [v for v in row if space.is_open(name, v, trajectory, ())]
            admitted = values_of.get("enum") or (range(ends[0], ends[1] + 1) if ends else [])
            assert set(still_open) <= set(admitted)
            assert bool(still_open) == bool(admitted)


def test_it_stays_quick_in_a_long_run():
    trajectory = fresh()
    for n in range(10_000):
        trajectory.known().add(BASELINE | {"lr": 1e-5 + n * 9.9e-7}, "measured")
    for n in range(4, 49):
        trajectory.known().add(BASELINE | {"n_layer": n}, "measured")
    began = time.process_time()
    answer_schema(SPACE, trajectory, 4)
    assert time.process_time() - began < 0.1  # measured: 0.003


def test_where_several_changes_are_allowed_a_list_of_them_passes_schema_and_rails():
    space = Space(MENU, BASELINE, 60, max_changes=3)
    schema = answer_schema(space, fresh(space), 2)
    listed = [{"knob": "lr", "new_value": 0.002}, {"knob": "beta1", "new_value": 0.8}]
    proposal = {"changes": listed, "reason": "both"}
    jsonschema.validate({"proposals": [proposal]}, schema)
    assert gate(json.dumps(proposal), BASELINE, MENU, max_changes=3).ok
    for bad in (listed[:1], listed * 2, [{**listed[0], "reason": "x"}, listed[1]]):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"proposals": [{"changes": bad, "reason": "both"}]}, schema)


def test_where_one_change_is_allowed_there_is_no_list():
    assert "changes" not in json.dumps(answer_schema(SPACE, fresh(), 1))


def test_what_the_rails_refused_in_this_conversation_is_left_out():
    given = fresh()
    refused = {"lr": {0.5}, "d_model": {256, 4096}, "n_layer": {5.0}, "unknown": {1}}
    before, after = values(answer_schema(SPACE, given, 3)), values(answer_schema(SPACE, given, 3, refused))
    assert before.keys() - after.keys() == {"lr"}, "a range cannot leave a value out"
    assert after["d_model"]["enum"] == [v for v in before["d_model"]["enum"] if v != 256]
    assert {k: v for k, v in after.items() if k != "d_model"} == {
        k: v for k, v in before.items() if k not in ("lr", "d_model")
    }, "5.0 is not the whole number 5"


def test_where_nothing_is_left_all_is_in_again():
    given = fresh()
    everything = {
        name: set(schema.get("enum", {0.5})) for name, schema in values(answer_schema(SPACE, given, 3)).items()
    }
    assert answer_schema(SPACE, given, 3, everything) == answer_schema(SPACE, given, 3)
