"""The gate: seven rails in order, each by its name; no input raises; a verdict that passes changes one field."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rails import ChoiceKnob, Estimate, IntKnob, Limits, Proposal, Rail, Tried, default_menu, gate
from rails.checks import diff_lines
from tests.examples import examples

MENU = default_menu()
BASELINE = MENU.defaults


def reply(knob: object = "lr", new_value: object = 1e-3, reason: object = "a hunch") -> str:
    return json.dumps({"knob": knob, "new_value": new_value, "reason": reason})


def rail_of(raw: object, **context: object) -> Rail:
    return gate(raw, BASELINE, **context).rail


def test_a_good_proposal_passes_with_all_that_is_needed_to_measure_it():
    verdict = gate(reply("d_model", 768, "smaller is faster"), BASELINE)
    assert (verdict.ok, verdict.rail, verdict.reason) == (True, Rail.PASSED, "")
    assert verdict.proposal == Proposal("d_model", 768, "smaller is faster")
    assert verdict.candidate == BASELINE | {"d_model": 768}
    assert verdict.diff == "--- a/cfg.py\n+++ b/cfg.py\n@@ -3 +3 @@\n-d_model = 1024\n+d_model = 768\n"


# R1: exactly one JSON object with exactly knob, new_value, reason.

TAIL = '"knob": "lr", "new_value": 0.001, "reason": "x"}'
NOT_THE_SCHEMA = {
    "nothing": ("", "not one JSON object"),
    "blank": (" \n ", "not one JSON object"),
    "prose": ("raise the learning rate", "not one JSON object"),
    "text before": (f"Sure! {reply()}", "not one JSON object"),
    "text after": (f"{reply()} Good luck!", "not one JSON object: Extra data"),
    "two objects": (reply() + reply(), "not one JSON object: Extra data"),
    "a fence": (f"```json\n{reply()}\n```", "not one JSON object"),
    "thinking in the reply": (f"<think>lower?</think>{reply()}", "not one JSON object"),
    "single quotes": ("{'knob': 'lr', 'new_value': 0.001, 'reason': 'x'}", "not one JSON object"),
    "a comment": (reply()[:-1] + "// why\n}", "not one JSON object"),
    "a trailing comma": (reply()[:-1] + ",}", "not one JSON object: trailing comma at character "),
    "cut off": (reply()[:-2], "not one JSON object"),
    "a byte order mark": ("\ufeff" + reply(), "not one JSON object"),
    "null": ("null", "a JSON object is expected, not None"),
    "a list": (f"[{reply()}]", "a JSON object is expected, not [{"),
    "a string": (json.dumps(reply()), "a JSON object is expected"),
    "a number": ("1", "a JSON object is expected, not 1"),
    "an empty object": ("{}", "missing key knob"),
    "no knob": ('{"new_value": 1, "reason": "x"}', "missing key knob"),
    "no value": ('{"knob": "lr", "reason": "x"}', "missing key new_value"),
    "no reason": ('{"knob": "lr", "new_value": 1}', "missing key reason"),
    "one key more": ('{"confidence": 1, ' + TAIL, "unexpected key 'confidence'"),
    "two changes": ('{"knob2": "beta1", ' + TAIL, "unexpected key 'knob2'"),
    "keys in capitals": ('{"Knob": "lr", "new_value": 1, "reason": "x"}', "unexpected key 'Knob'"),
    "a key twice": ('{"knob": "beta1", ' + TAIL, "key 'knob' is written twice"),
    "a key twice, once escaped": ('{"kno\\u0062": "beta1", ' + TAIL, "key 'knob' is written twice"),
    "a key twice inside": ('{"knob": "lr", "new_value": {"a": 1, "a": 2}, "reason": "x"}', "key 'a' is written twice"),
    "NaN": (reply(new_value=math.nan), "NaN is not a number"),
    "Infinity": (reply(new_value=math.inf), "Infinity is not a number"),
    "-Infinity": (reply(new_value=-math.inf), "-Infinity is not a number"),
    "NaN inside": (reply(new_value=[math.nan]), "NaN is not a number"),
    "1e999": (reply().replace("0.001", "1e999"), "'1e999' is too large a number"),
    "-1e999": (reply().replace("0.001", "-1e999"), "'-1e999' is too large a number"),
    "a number as knob": (reply(knob=3), "knob must be a string, not 3"),
    "null as knob": (reply(knob=None), "knob must be a string, not None"),
    "a list as knob": (reply(knob=["lr"]), "knob must be a string"),
    "null as reason": (reply(reason=None), "reason must be a string, not None"),
    "a list as reason": (reply(reason=["x"]), "reason must be a string"),
    "a reason too long": (reply(reason="x" * 501), "reason has 501 characters, at most 500"),
    "a new line in the reason": (reply(reason="a\nb"), "control character '\\n'"),
    "an escape in the reason": (reply(reason="\x1b[2J"), "control character '\\x1b'"),
    "a null in the reason": (reply(reason="\0"), "control character '\\x00'"),
    "delete in the reason": (reply(reason="\x7f"), "control character '\\x7f'"),
    "a C1 control in the reason": (reply(reason="\x9b2J"), "control character '\\x9b'"),
    "a line separator in the reason": (reply(reason="a\u2028b"), "control character '\\u2028'"),
    "a paragraph separator in the reason": (reply(reason="a\u2029b"), "control character '\\u2029'"),
    "an override of direction": (reply(reason="\u202egood"), "control character '\\u202e'"),
    "half a surrogate pair": (reply(reason="\ud800"), "control character '\\ud800'"),
    "a raw new line": ('{"knob": "lr", "new_value": 1, "reason": "a\nb"}', "Invalid control character"),
    "too long": (reply(reason="x" * 4096), "the reply is longer than 4096 bytes"),
    "too long in bytes": (reply().replace("a hunch", "\u00e4" * 2040), "the reply is longer than 4096 bytes"),
    "too long in blanks": (reply() + " " * 4096, "the reply is longer than 4096 bytes"),
    "too many bytes": (reply().encode() + b" " * 4096, "the reply is longer than 4096 bytes"),
    "not UTF-8": (reply().encode().replace(b"hunch", b"\xff\xfe"), "the reply is not UTF-8: byte"),
    "UTF-16": (reply().encode("utf-16"), "the reply is not UTF-8: byte 0"),
    "deep lists": ("[" * 4000, "not one JSON object: nested more than 100 levels deep"),
    "deep tables": ('{"a":' * 800, "not one JSON object: nested more than 100 levels deep"),
    "no text at all": (None, "a reply is a string or bytes, not 'NoneType'"),
    "the object itself": ({"knob": "lr", "new_value": 1e-3, "reason": "x"}, "a reply is a string or bytes, not 'dict'"),
    "a buffer": (bytearray(b"{}"), "a reply is a string or bytes, not 'bytearray'"),
}


@pytest.mark.parametrize(("raw", "words"), NOT_THE_SCHEMA.values(), ids=NOT_THE_SCHEMA.keys())
def test_r1_refuses_all_but_one_object_with_the_three_keys(raw, words):
    verdict = gate(raw, BASELINE)
    assert (verdict.ok, verdict.rail) == (False, Rail.R1_SCHEMA)
    assert words in verdict.reason
    assert (verdict.proposal, verdict.diff, verdict.candidate) == (None, None, None)


FINE = {
    "bytes": reply().encode(),
    "blanks around": f"\n  {reply()}\t\n",
    "another order": '{"reason": "x", "new_value": 0.001, "knob": "lr"}',
    "escapes": '{"\\u006bnob": "\\u006cr", "new_value": 1e-3, "reason": ""}',
    "a reason of 500": reply(reason="x" * 500),
    "a reason in another script": reply(reason="\u5b66\u7fd2\u7387 \U0001f680"),
    "a reply of 4096 bytes": reply() + " " * (4096 - len(reply())),
}


@pytest.mark.parametrize("raw", FINE.values(), ids=FINE.keys())
def test_r1_lets_pass_what_is_the_schema(raw):
    verdict = gate(raw, BASELINE)
    assert verdict.rail == Rail.PASSED
    assert verdict.candidate == BASELINE | {"lr": 0.001}


# R2: the knob is on the menu.


@pytest.mark.parametrize(
    ("knob", "words"),
    [
        ("learning_rate", "'learning_rate' is not a knob of the menu; there are n_layer, n_head"),
        ("lr_warm_up", "did you mean lr_warmup?"),
        ("d_modle", "did you mean d_model?"),
        ("LR", "is not a knob"),
        ("lr ", "is not a knob"),
        ("", "is not a knob"),
        ("steps", "is not a knob"),
        ("__class__", "is not a knob"),
        ("\x1b[2J", r"'\x1b[2J' is not a knob"),
    ],
)
def test_r2_refuses_what_is_not_on_the_menu(knob, words):
    verdict = gate(reply(knob), BASELINE)
    assert (verdict.ok, verdict.rail) == (False, Rail.R2_MENU)
    assert words in verdict.reason
    assert verdict.reason.isprintable()


WITHOUT_LR = {k: v for k, v in BASELINE.items() if k != "lr"}
BAD_BASELINES = {
    "None": (None, "the baseline is not a configuration: None"),
    "a list": ([1], "the baseline is not a configuration"),
    "empty": ({}, "the baseline has no value for n_layer"),
    "without the knob": (WITHOUT_LR, "the baseline has no value for lr"),
    "null": (BASELINE | {"lr": None}, "no usable value for 'lr': None"),
    "true": (BASELINE | {"n_layer": True}, "no usable value for 'n_layer': True"),
    "NaN": (BASELINE | {"beta1": math.nan}, "no usable value for 'beta1': nan"),
    "infinite": (BASELINE | {"lr": math.inf}, "no usable value for 'lr': inf"),
    "beyond floats": (BASELINE | {"d_model": 10**400}, "no usable value for 'd_model'"),
    "beyond printing": (BASELINE | {"d_model": 10**5000}, "no usable value for 'd_model': <int>"),
    "a field that is not a value": (BASELINE | {"vocab": object()}, "no usable value for 'vocab': <object"),
    "a field with a list": (BASELINE | {"betas": [0.9, 0.95]}, "no usable value for 'betas'"),
    "a name that is not a string": (BASELINE | {3: 1}, "no usable value for 3: 1"),
}


@pytest.mark.parametrize(("baseline", "words"), BAD_BASELINES.values(), ids=BAD_BASELINES.keys())
def test_r2_refuses_a_baseline_that_is_not_a_configuration(baseline, words):
    verdict = gate(reply(), baseline)
    assert (verdict.ok, verdict.rail) == (False, Rail.R2_MENU)
    assert words in verdict.reason


def test_a_baseline_may_have_fields_that_are_not_knobs():
    verdict = gate(reply(), BASELINE | {"vocab": 50257, "arch": "gpt"})
    assert verdict.candidate == BASELINE | {"vocab": 50257, "arch": "gpt", "lr": 0.001}


# R3: the value is of the knob's type and in its range.


@pytest.mark.parametrize(
    ("knob", "written"),
    [
        ("n_layer", "true"),
        ("n_layer", "12.0"),
        ("n_layer", "1.2e1"),
        ("n_layer", '"12"'),
        ("n_layer", "3"),
        ("n_layer", "49"),
        ("n_layer", "-12"),
        ("n_layer", "null"),
        ("n_layer", "[12]"),
        ("n_layer", "1" * 4000),
        ("lr", "true"),
        ("lr", "false"),
        ("lr", '"0.001"'),
        ("lr", "0.0100001"),
        ("lr", "9.99e-6"),
        ("lr", "0"),
        ("lr", "-0.001"),
        ("lr", "1e-400"),
        ("lr", "1e308"),
        ("lr", "1" * 4000),
        ("lr", '{"value": 0.001}'),
        ("n_head", "6"),
        ("n_head", "8.0"),
        ("n_head", '"8"'),
        ("n_head", "true"),
        ("precision", '"fp16"'),
        ("precision", '"BF16"'),
        ("precision", "16"),
        ("precision", "null"),
        ("precision", '"\\u001b[2J"'),
    ],
)
def test_r3_refuses_values_of_another_type_or_out_of_range(knob, written):
    verdict = gate(f'{{"knob": "{knob}", "new_value": {written}, "reason": "x"}}', BASELINE)
    assert (verdict.ok, verdict.rail) == (False, Rail.R3_RANGE)
    assert knob in verdict.reason
    assert verdict.reason.isprintable()
    assert len(verdict.reason) < 200


@pytest.mark.parametrize(
    ("knob", "written", "canonical"),
    [
        ("grad_clip", "2", "2.0"),
        ("grad_clip", "5.0", "5.0"),
        ("lr", "1E-5", "1e-05"),
        ("lr", "0.00100", "0.001"),
        ("weight_decay", "0.5", "0.5"),
        ("n_layer", "4", "4"),
        ("n_head", "32", "32"),
        ("precision", '"bf16"', "'bf16'"),
    ],
)
def test_r3_makes_one_value_out_of_every_way_to_write_it(knob, written, canonical):
    verdict = gate(f'{{"knob": "{knob}", "new_value": {written}, "reason": "x"}}', BASELINE)
    assert verdict.ok
    assert verdict.candidate is not None
    assert repr(verdict.candidate[knob]) == canonical
    assert repr(verdict.proposal.new_value) == canonical


def test_r3_makes_minus_zero_zero():
    baseline = BASELINE | {"weight_decay": 0.1}
    verdict = gate(reply("weight_decay", -0.0), baseline)
    assert repr(verdict.candidate["weight_decay"]) == "0.0"
    assert verdict.diff.endswith("+weight_decay = 0.0\n")


# R4: the cross constraints.


def test_r4_requires_heads_that_divide_the_width():
    verdict = gate(reply("d_model", 1536), BASELINE | {"n_head": 32, "d_model": 1024})
    assert verdict.ok
    menu = MENU.override({"knobs": {"n_head": {"choices": [4, 16, 24]}}})
    verdict = gate(reply("n_head", 24), BASELINE, menu)
    assert (verdict.ok, verdict.rail) == (False, Rail.R4_CROSS)
    assert verdict.reason == (
        "heads_divide_width: d_model % n_head == 0 does not hold with d_model = 1024, n_head = 24"
    )
    assert verdict.proposal == Proposal("n_head", 24, "a hunch")
    assert verdict.candidate is None


def test_r4_leaves_warmup_room_in_the_step_budget():
    assert rail_of(reply("lr_warmup", 25), steps=60) == Rail.PASSED
    assert rail_of(reply("lr_warmup", 26), steps=60) == Rail.R4_CROSS
    assert rail_of(reply("lr_warmup", 25)) == Rail.PASSED  # 60 steps are the default
    assert rail_of(reply("lr_warmup", 26)) == Rail.R4_CROSS
    assert rail_of(reply("lr_warmup", 50), steps=110) == Rail.PASSED
    assert rail_of(reply("lr_warmup", 50), steps=109) == Rail.R4_CROSS
    assert rail_of(reply("lr_warmup", 0), steps=1) == Rail.R4_CROSS


def test_r4_skips_the_rules_of_steps_where_there_are_none():
    assert rail_of(reply("lr_warmup", 50), steps=None) == Rail.PASSED
    assert gate(reply("n_head", 32), BASELINE | {"d_model": 1040}, steps=None).rail == Rail.R4_CROSS


# R5: one line, one field.


@pytest.mark.parametrize(
    ("knob", "value"), [("n_layer", 12), ("lr", 1), ("lr", 1e-3), ("precision", "bf16"), ("weight_decay", 0.1)]
)
def test_r5_proves_that_the_diff_is_one_line(knob, value):
    menu = MENU.override({"knobs": {"lr": {"high": 2.0}}})
    verdict = gate(reply(knob, value), BASELINE, menu)
    lines = verdict.diff.splitlines()
    at = list(BASELINE).index(knob) + 1
    assert lines[:3] == ["--- a/cfg.py", "+++ b/cfg.py", f"@@ -{at} +{at} @@"]
    assert lines[3] == f"-{knob} = {json.dumps(BASELINE[knob])}"
    assert lines[4] == f"+{knob} = {json.dumps(verdict.candidate[knob])}"
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("candidate", "touched"),
    [
        (BASELINE | {"lr": 1e-3, "n_layer": 12}, "n_layer, lr"),
        (BASELINE | {"n_layer": 12}, "n_layer"),
        (BASELINE | {"lr": 1e-3, "weight_decay": 0}, "lr"),  # 0 for 0.0: equal, but another line
        (BASELINE | {"lr": 1e-3, "extra": 1}, "lr"),
        ({"lr": 1e-3} | BASELINE | {"lr": 1e-3}, "lr"),  # in another order
        (WITHOUT_LR | {"rl": 1e-3}, "lr"),
    ],
)
def test_r5_does_not_trust_the_code_that_built_the_candidate(candidate, touched):
    _, why = diff_lines(["lr"], BASELINE, candidate)
    assert why == f"the change touches {touched}, not lr alone"


# R6: nothing twice.


@pytest.mark.parametrize(
    ("knob", "value"), [("n_layer", 24), ("lr", 3e-4), ("weight_decay", -0.0), ("grad_clip", 1), ("precision", "fp8")]
)
def test_r6_refuses_the_baselines_own_value(knob, value):
    verdict = gate(reply(knob, value), BASELINE)
    assert (verdict.ok, verdict.rail, verdict.reason) == (False, Rail.R6_NOVELTY, "it is the baseline itself")
    assert verdict.proposal is not None
    assert verdict.candidate is None


def test_r6_refuses_the_baselines_own_value_nearly():
    assert rail_of(reply("lr", 3e-4 * (1 + 5e-10))) == Rail.R6_NOVELTY
    assert rail_of(reply("lr", 3e-4 * (1 + 3e-9))) == Rail.PASSED


def test_r6_refuses_what_was_measured_or_failed_for_good():
    known = Tried(BASELINE)
    known.add(BASELINE | {"lr": 1e-3}, "measured")
    known.add(BASELINE | {"n_layer": 48}, "failed (out_of_memory)")
    verdict = gate(reply("lr", 1e-3), BASELINE, known=known)
    assert (verdict.rail, verdict.reason) == (
        Rail.R6_NOVELTY,
        "lr = 0.001 was tried before in this run: measured",
    )
    assert rail_of(reply("n_layer", 48), known=known) == Rail.R6_NOVELTY
    assert rail_of(reply("lr", 2e-3), known=known) == Rail.PASSED


def test_r6_allows_a_retryable_failure_a_second_try():
    known = Tried(BASELINE)
    slow = BASELINE | {"n_layer": 48}
    known.add(slow, "failed (timeout)", retryable=True)
    assert rail_of(reply("n_layer", 48), known=known) == Rail.PASSED
    known.add(slow, "failed (timeout)", retryable=True)
    assert rail_of(reply("n_layer", 48), known=known) == Rail.R6_NOVELTY


# R7: what the machine can do.


def test_r7_refuses_what_does_not_fit_into_memory():
    limits = Limits(memory_bytes=2 * 2**30)
    verdict = gate(reply(), BASELINE, estimate=lambda _: Estimate(3 * 2**30, 1.0), limits=limits)
    assert (verdict.ok, verdict.rail) == (False, Rail.R7_BUDGET)
    assert verdict.reason == "needs about 3.00 GiB of memory, 2.00 GiB are available"
    assert rail_of(reply(), estimate=lambda _: Estimate(2 * 2**30, 1.0), limits=limits) == Rail.PASSED
    assert rail_of(reply(), estimate=lambda _: Estimate(2**50, 1.0), limits=Limits()) == Rail.PASSED  # no limit


def test_r7_refuses_what_takes_too_long():
    assert rail_of(reply(), estimate=lambda _: Estimate(1, 3.0)) == Rail.PASSED
    verdict = gate(reply(), BASELINE, estimate=lambda _: Estimate(1, 3.2))
    assert (verdict.rail, verdict.reason) == (
        Rail.R7_BUDGET,
        "takes about 3.2 x the baseline's time, at most 3 x is allowed",
    )
    assert rail_of(reply(), estimate=lambda _: Estimate(1, 3.2), limits=Limits(max_time_ratio=4)) == Rail.PASSED


@pytest.mark.parametrize("ratio", [math.nan, math.inf])
def test_r7_lets_no_unknown_time_pass(ratio):
    assert rail_of(reply(), estimate=lambda _: Estimate(1, ratio)) == Rail.R7_BUDGET


def test_r7_lets_no_unknown_memory_pass():
    limits = Limits(memory_bytes=2**30)
    assert rail_of(reply(), estimate=lambda _: Estimate(math.nan, 1.0), limits=limits) == Rail.R7_BUDGET


def test_r7_refuses_what_the_trainer_cannot_do_here():
    verdict = gate(reply(), BASELINE, estimate=lambda _: Estimate(1, 1.0, "trainer torch cannot train in fp8"))
    assert (verdict.rail, verdict.reason) == (Rail.R7_BUDGET, "trainer torch cannot train in fp8")


@pytest.mark.parametrize("ratio", [1.5, 9.0])
def test_r7_keeps_the_estimate_of_the_whole_candidate_in_the_verdict(ratio):
    asked = []

    def estimate(cfg):
        asked.append(dict(cfg))
        return Estimate(123, ratio)

    verdict = gate(reply(), BASELINE, estimate=estimate)
    assert verdict.estimate == Estimate(123, ratio)
    assert asked == [BASELINE | {"lr": 1e-3}]


def test_nothing_is_estimated_for_what_an_earlier_rail_refuses():
    def estimate(cfg):
        raise AssertionError("asked")

    for raw in ("", reply("nope"), reply("lr", 7), reply("lr_warmup", 50), reply("lr", 3e-4)):
        assert not gate(raw, BASELINE, estimate=estimate).ok


def test_the_first_rail_that_refuses_is_the_one_that_is_named():
    """The flaws are repaired one after the other; each time the next rail refuses."""
    menu = MENU.override({"knobs": {"n_head": {"choices": [16, 24, 32]}}})
    known = Tried(BASELINE)
    known.add(BASELINE | {"n_head": 32}, "measured")

    def rail(raw: str, known: Tried | None = known) -> Rail:
        cannot = Estimate(2**60, math.nan, "cannot")
        return gate(raw, BASELINE, menu, known=known, estimate=lambda _: cannot, limits=Limits(1)).rail

    assert rail('{"knob": "heads", "new_value": 99, "reason": "\\n"}') == Rail.R1_SCHEMA
    assert rail('{"knob": "heads", "new_value": 99, "reason": "x"}') == Rail.R2_MENU
    assert rail('{"knob": "n_head", "new_value": 99, "reason": "x"}') == Rail.R3_RANGE
    assert rail('{"knob": "n_head", "new_value": 24, "reason": "x"}') == Rail.R4_CROSS
    assert rail('{"knob": "n_head", "new_value": 32, "reason": "x"}') == Rail.R6_NOVELTY
    assert rail('{"knob": "n_head", "new_value": 32, "reason": "x"}', known=None) == Rail.R7_BUDGET


def test_the_rails_are_named_as_the_log_names_them():
    assert [str(rail) for rail in Rail] == [
        "R1_schema", "R2_menu", "R3_range", "R4_cross", "R5_diff_lint", "R6_novelty", "R7_budget", "passed",
    ]  # fmt: skip


# Properties, for any input.

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
KNOB_NAMES = st.sampled_from(list(MENU.knobs))


def values_of(name: str) -> st.SearchStrategy:
    """Values on and beside the knob's range."""
    knob = MENU.knobs[name]
    if isinstance(knob, ChoiceKnob):
        return st.sampled_from(knob.choices) | JSON
    near = st.sampled_from([knob.low, knob.high, knob.default, -0.0])
    if isinstance(knob, IntKnob):
        return st.integers(knob.low - 3, knob.high + 3) | near | JSON
    return st.floats(0.5 * knob.low, 1.1 * knob.high) | near | JSON


CHANGES = KNOB_NAMES.flatmap(lambda name: st.tuples(st.just(name), values_of(name)))
REPLIES = st.builds(lambda change, reason: reply(*change, reason), CHANGES, st.text(max_size=30))
NEARLY = st.builds(lambda text, at, char: text[:at] + char + text[at:], REPLIES, st.integers(0, 80), st.characters())
ODD = JSON | st.binary(max_size=60) | st.builds(object) | st.builds(json.dumps, JSON) | st.just(b"{" * 5000)
RAW = REPLIES | NEARLY | REPLIES.map(str.encode) | ODD

CONFIGS = st.fixed_dictionaries(
    {
        name: st.sampled_from(knob.choices) if isinstance(knob, ChoiceKnob)
        else st.integers(knob.low, knob.high) if isinstance(knob, IntKnob)
        else st.floats(knob.low, knob.high)
        for name, knob in MENU.knobs.items()
    }
)  # fmt: skip
WEIRD_VALUES = JSON | st.just(10**400) | st.just(10**5000) | st.builds(object) | st.binary(max_size=4)
WEIRD_BASELINES = (
    ODD
    | st.dictionaries(KNOB_NAMES | st.text(max_size=5) | st.integers() | st.none(), WEIRD_VALUES)
    | st.builds(lambda cfg, more: cfg | more, CONFIGS, st.dictionaries(KNOB_NAMES | st.text(), WEIRD_VALUES))
)  # fmt: skip
STEPS = st.none() | st.integers(-5, 200)


@settings(max_examples=examples(300))
@given(RAW, st.just(BASELINE) | CONFIGS | WEIRD_BASELINES, STEPS)
def test_any_input_leads_to_a_verdict(raw, baseline, steps):
    verdict = gate(raw, baseline, steps=steps)
    assert verdict.ok is (verdict.rail is Rail.PASSED)
    assert verdict.ok is (verdict.candidate is not None)
    assert verdict.ok is (verdict.reason == "")
    if verdict.ok:
        changed = [k for k in verdict.candidate if verdict.candidate[k] != baseline[k]]
        assert changed == [verdict.proposal.knob]
        assert list(verdict.candidate) == list(baseline)


@settings(max_examples=examples(300))
@given(REPLIES, CONFIGS, STEPS)
def test_a_pass_is_a_valid_configuration_and_changes_one_field_to_the_canonical_value(raw, baseline, steps):
    verdict = gate(raw, baseline, steps=steps)
    if verdict.ok:
        knob, value = verdict.proposal.knob, verdict.proposal.new_value
        assert verdict.candidate == baseline | {knob: value}
        assert repr(MENU.knobs[knob].accept(value)[0]) == repr(value)
        assert MENU.check_config(verdict.candidate, steps) == ""
        assert verdict.candidate[knob] != baseline[knob]


def has_no_number(change: tuple[str, object]) -> bool:
    written = json.dumps(change[1])
    return "NaN" in written or "Infinity" in written


@settings(max_examples=examples(300))
@given(CHANGES.filter(lambda change: not has_no_number(change)), CONFIGS, STEPS)
def test_a_second_implementation_of_the_gate_agrees(change, baseline, steps):
    """A second, naive reading of perturbation_menu.json comes to the same verdict."""
    (name, value), entry = change, MENU.source["knobs"][change[0]]

    def expected() -> Rail:
        if entry["type"] == "choice":
            on_menu = any(type(value) is type(c) and value == c for c in entry["choices"])
        else:
            number = type(value) is int or (entry["type"] == "float" and type(value) is float)
            on_menu = number and entry["low"] <= value <= entry["high"]
        if not on_menu:
            return Rail.R3_RANGE
        new = baseline | {name: value}
        if new["d_model"] % new["n_head"] != 0 or (steps is not None and new["lr_warmup"] + 5 > steps / 2):
            return Rail.R4_CROSS
        nearly = entry["type"] == "float" and math.isclose(value, baseline[name], rel_tol=1e-9, abs_tol=0)
        return Rail.R6_NOVELTY if value == baseline[name] or nearly else Rail.PASSED

    assert gate(reply(*change), baseline, steps=steps).rail == expected()


@given(RAW, st.just(BASELINE) | CONFIGS, st.lists(CHANGES, max_size=5))
def test_the_same_question_gets_the_same_answer(raw, baseline, history):
    def known() -> Tried:
        tried = Tried(baseline)
        for name, value in history:
            if isinstance(value, int | float | str) and math.isfinite(0 if isinstance(value, str) else value):
                tried.add(baseline | {name: value}, "measured")
        return tried

    once = known()
    answers = [gate(raw, baseline, known=k, estimate=lambda _: Estimate(5, 2.0)) for k in (once, once, known())]
    assert answers[0] == answers[1] == answers[2]


def test_under_a_budget_in_tokens_each_candidate_has_its_own_steps():
    """Half the batch makes twice the steps: a warmup that is too long for one batch size fits another."""
    steps_of = {16: 60, 8: 120, 4: 240, 2: 480}

    def steps(cfg):
        return steps_of[cfg["batch_size"]]

    def say(knob, value):
        return json.dumps({"knob": knob, "new_value": value, "reason": ""})

    long_warmup = {**default_menu().defaults, "batch_size": 8, "lr_warmup": 40}
    assert gate(say("batch_size", 4), long_warmup, steps=steps).ok
    assert gate(say("batch_size", 16), long_warmup, steps=steps).rail == "R4_cross"


LR = {"knob": "lr", "new_value": 1e-3}


class TestSeveralChanges:
    def text(self, **changes):
        listed = [{"knob": knob, "new_value": value} for knob, value in changes.items()]
        return json.dumps({"changes": listed, "reason": "together"})

    def test_the_candidate_has_all_of_them_and_the_diff_a_hunk_each(self):
        verdict = gate(self.text(beta1=0.8, lr=1e-3), BASELINE, max_changes=2)
        assert verdict.candidate == {**BASELINE, "beta1": 0.8, "lr": 1e-3}
        assert verdict.proposal == Proposal("beta1", 0.8, "together", (("lr", 1e-3),))
        assert verdict.diff.splitlines()[2::3] == ["@@ -5 +5 @@", "@@ -9 +9 @@"]

    @pytest.mark.parametrize(
        ("changes", "rail", "named"),
        [
            ({"lr": 1e-3, "speed": 1}, Rail.R2_MENU, "'speed'"),
            ({"lr": 1e-3, "beta1": 7}, Rail.R3_RANGE, "beta1 = 7"),
            ({"lr": 1e-3, "lr_warmup": 30}, Rail.R4_CROSS, "lr_warmup"),
            ({"lr": 1e-3, "beta1": BASELINE["beta1"]}, Rail.R5_DIFF_LINT, "beta1"),
            ({"lr": 1e-3, "beta1": 0.8, "beta2": 0.9}, Rail.R1_SCHEMA, "3 changes"),
        ],
    )
    def test_each_refusal_names_its_knob(self, changes, rail, named):
        verdict = gate(self.text(**changes), BASELINE, max_changes=2)
        assert (verdict.ok, verdict.rail) == (False, rail)
        assert named in verdict.reason

    @pytest.mark.parametrize(
        ("listed", "reason"),
        [
            ([], "changes must be a list of at least one change, not []"),
            ("lr", "changes must be a list of at least one change, not 'lr'"),
            ({"lr": 1e-3}, "changes must be a list of at least one change, not {'lr': 0.001}"),
            ([["lr", 1e-3]], "change 1: a JSON object is expected, not ['lr', 0.001]"),
            ([LR, {"knob": "beta1"}], "change 2: missing key new_value; exactly knob, new_value are expected"),
            ([LR | {"reason": ""}], "change 1: unexpected key 'reason'; exactly knob, new_value are expected"),
            ([LR, {"knob": 1, "new_value": 2}], "change 2: knob must be a string, not 1"),
            ([LR, LR], "change 2: 'lr' is changed twice"),
        ],
    )
    def test_a_list_that_is_not_one_of_changes_is_refused_with_the_place(self, listed, reason):
        verdict = gate(json.dumps({"changes": listed, "reason": ""}), BASELINE, max_changes=2)
        assert (verdict.rail, verdict.reason) == (Rail.R1_SCHEMA, reason)

    def test_a_knob_that_is_not_a_name_is_refused_without_a_place(self):
        verdict = gate('{"knob": 1, "new_value": 2, "reason": ""}', BASELINE, max_changes=2)
        assert verdict.reason == "knob must be a string, not 1"

    def test_the_baselines_own_value_is_named(self):
        verdict = gate(self.text(lr=1e-3, beta1=BASELINE["beta1"]), BASELINE, max_changes=2)
        assert verdict.reason == f"beta1 = {BASELINE['beta1']} is the baseline's own value: leave it out"

    def test_a_candidate_that_changes_more_than_it_names_is_refused(self):
        candidate = BASELINE | {"lr": 1e-3, "beta1": 0.8, "beta2": 0.9}
        _, reason = diff_lines(("beta1", "lr"), BASELINE, candidate)
        assert reason == "the change touches lr, beta1, beta2, not beta1, lr alone"

    def test_one_change_by_itself_is_valid_in_both_forms(self):
        one = json.dumps({"knob": "lr", "new_value": 1e-3, "reason": "together"})
        assert gate(one, BASELINE, max_changes=9) == gate(self.text(lr=1e-3), BASELINE, max_changes=9)
        assert gate(self.text(lr=1e-3), BASELINE).rail is Rail.R1_SCHEMA
