"""Every constant gets a knob by a stated rule, or a reason why it has none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch.trials.command.constants import read_constants, replace_constants
from autoresearch.trials.command.menu_from_constants import DerivedMenu, menu_from_constants
from rails import parse_menu
from tests.examples import examples


def derive(source: str) -> DerivedMenu:
    return menu_from_constants(read_constants(source))


def entry(source: str) -> dict[str, Any]:
    (found,) = derive(source).menu["knobs"].values()
    return {key: value for key, value in found.items() if key != "doc"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("DEPTH = 8", {"type": "int", "low": 1, "high": 16, "default": 8}),
        ("WIDTH = 100", {"type": "int", "low": 25, "high": 400, "default": 100}),
        ("BATCH = 2**9", {"type": "choice", "choices": [128, 256, 512, 1024, 2048], "default": 512}),
        ("BATCH = 1 << 7", {"type": "choice", "choices": [32, 64, 128, 256, 512], "default": 128}),
        ("MATRIX_LR = 0.04", {"type": "float", "low": 0.004, "high": 0.4, "default": 0.04, "log": True}),
        ("SCALE = 2.0", {"type": "float", "low": 0.5, "high": 8.0, "default": 2.0, "log": True}),
        ("BETA2 = 0.95", {"type": "float", "low": 0.5, "high": 0.995, "default": 0.95}),
        ("COOLDOWN_RATIO = 0.5", {"type": "float", "low": 0.0, "high": 1.0, "default": 0.5}),
        ("DROPOUT = 0.0", {"type": "float", "low": 0.0, "high": 0.5, "default": 0.0}),
        ("WEIGHT_DECAY = 0.1", {"type": "float", "low": 0.0, "high": 0.4, "default": 0.1}),
        ("USE_MUON: bool = True", {"type": "choice", "choices": ["False", "True"], "default": "True"}),
    ],
)
def test_a_range_by_rule(line: str, expected: dict[str, Any]) -> None:
    assert entry(line) == expected


def test_a_tuple_is_a_choice_of_texts_that_spell_tuples() -> None:
    found = entry("ADAM_BETAS = (0.8, 0.95)")
    assert found["default"] == "(0.8, 0.95)"
    assert found["choices"] == ["(0.8, 0.95)", "(0.9, 0.95)", "(0.7, 0.95)", "(0.8, 0.975)", "(0.8, 0.925)"]
    assert entry("SIZES = [2, 3]")["choices"] == ["[2, 3]", "[1, 3]", "[4, 3]", "[2, 1]", "[2, 6]"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("SEED = 42", "a seed is not a knob"),
        ("TIME_BUDGET = 300", "a budget is not a knob"),
        ("EVAL_TOKENS = 4096", "how the metric is measured"),
        ('PATTERN = "SSSL"', "a text"),
        ("OFFSET = -1", "no scale"),
        ("ZERO = 0.0", "no scale"),
        ("LONG_" + "X" * 40 + " = 1", "40 at most"),
        ("GRÖSSE = 1", "a letter of A to Z"),
        ("NOTHING = None", "has no range"),
        ("NAMES = ('a', 'b')", "a sequence of other things"),
        ("TINY = 1e-323", "beyond what a float can hold"),
        ("WIDTH = DEPTH * 2\nDEPTH = 4", "its value is not a literal"),
        ("N = 1\nN = 2", "it is assigned 2 times"),
        ("H100_BF16_PEAK_FLOPS = 989.5e12", "a property of the hardware"),
        ("MASK = 2**62", "beyond 64 bits"),
        ("MASK = 0x" + "f" * 5000, "beyond 64 bits"),
        ("MASKS = (1, 0x" + "f" * 5000 + ")", "beyond 64 bits"),
        ("LR = 0.1\nlr = 0.2", "differs from it in case only"),
        ("TABLE = {'a': 1}", "{'a': 1} is none of a number, a text"),
        ("STEPS = 100", "steps has a meaning of its own"),
    ],
)
def test_what_is_left_out_has_a_reason(line: str, why: str) -> None:
    left_out = derive(line).left_out
    assert why in next(iter(left_out.values()))


def test_variables_are_not_constants() -> None:
    found = derive("width = 3 * f()\nwarmup = 4\nWIDTH = 5  # of the model\n_X = 1")
    assert list(found.menu["knobs"]) == ["width"]
    assert found.menu["knobs"]["width"]["doc"] == "of the model (line 3)"
    assert found.left_out == {}


def test_a_doc_is_one_printable_line() -> None:
    found = derive("A = 2  # \u202egnol\x07 " + "x" * 500)
    doc = found.menu["knobs"]["a"]["doc"]
    assert doc.isprintable()
    assert len(doc) < 230


NUMBERS = st.one_of(
    st.integers(-(10**6), 2**70), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.text(max_size=5)
)
VALUES = st.one_of(NUMBERS, st.tuples(NUMBERS, NUMBERS), st.lists(st.floats(0.001, 100), max_size=4))


@settings(max_examples=examples(150), deadline=None)
@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,12}", fullmatch=True), VALUES, max_size=6))
def test_every_menu_is_valid_and_every_choice_can_be_written_back(values: dict[str, Any]) -> None:
    source = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    found = derive(source)
    assert set(found.rules) | {name.lower() for name in found.left_out} == {name.lower() for name in values}
    if not found.menu["knobs"]:
        return
    menu = parse_menu(found.menu)
    assert menu.check_config(menu.defaults, None) == ""
    for name, value in values.items():
        for choice in found.menu["knobs"].get(name.lower(), {}).get("choices", ()):
            changed = read_constants(replace_constants(source, {name: choice}))[name].value
            assert type(changed) is type(value)
