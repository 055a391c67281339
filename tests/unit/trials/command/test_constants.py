"""Top-level constants of a script: which there are, and the copy with other values."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.trials.command.constants import (
    ScriptError,
    constant_of_knob,
    read_constants,
    replace_constants,
)

SCRIPT = '''"""Train."""
from __future__ import annotations
import os
ASPECT_RATIO = 64       # model_dim = depth * ASPECT_RATIO
NAME = "ünï"; BATCH = 2**19 # ~524K tokens
BETAS = (0.8,
         0.95)  # Adam
LR: float = 0.04
FLAG = True
HERE = os.path.dirname(__file__)
def f(ASPECT_RATIO):
    BATCH = 3
    return BATCH
'''


def test_it_finds_values_comments_and_the_text_as_written() -> None:
    found = read_constants(SCRIPT)
    assert found["ASPECT_RATIO"].value == 64
    assert found["ASPECT_RATIO"].comment == "model_dim = depth * ASPECT_RATIO"
    assert (found["BATCH"].value, found["BATCH"].text) == (524288, "2**19")
    assert (found["BETAS"].value, found["BETAS"].comment) == ((0.8, 0.95), "Adam")
    assert (found["LR"].value, found["FLAG"].value, found["NAME"].value) == (0.04, True, "ünï")
    assert "not a literal" in found["HERE"].problem


def test_only_the_values_are_replaced() -> None:
    new = replace_constants(SCRIPT, {"ASPECT_RATIO": 32, "BATCH": 7, "BETAS": "(0.9, 0.99)", "FLAG": "False"})
    expected = SCRIPT.replace("= 64", "= 32").replace("2**19", "7").replace("(0.8,\n         0.95)", "(0.9, 0.99)")
    assert new == expected.replace("FLAG = True", "FLAG = False")


def test_the_copy_finds_what_lies_beside_the_original() -> None:
    assert "HERE = os.path.dirname('/home/me/train.py')\n" in replace_constants(SCRIPT, {}, "/home/me/train.py")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("N = 1\nN = 2\n", "2 times"),
        ("if True:\n    N = 1\n", "inside an if"),
        ("N = 1\nif True:\n    N = 2\n", "inside an if"),
        ("for N in (1, 2):\n    pass\n", "inside a loop"),
        ("N = 1\nfor N in (1, 2):\n    pass\n", "inside a loop"),
        ("N = 1\ntry:\n    N = 2\nexcept ValueError:\n    pass\n", "inside a try"),
        ("N = 1\nN += 1\n", "operator"),
        ("N = M = 1\n", "together"),
        ("N, M = 1, 2\n", "together"),
        ("N = 1\nimport numpy as N\n", "imported"),
        ("N = 1\ndef f():\n    global N\n    N = 2\n", "global"),
        ("N = 1\nclass C:\n    global N\n    N = 2\n", "global"),
        ("N = 1\ndel N\n", "deleted"),
        ("N = 1\nprint(N := 2)\n", "another statement"),
        ("N = int('3')\n", "not a literal"),
        ("N = 10**10**10\n", "too large"),
        ("N = 1 << 10**9\n", "too large"),
        ("N = 1 / 0\n", "cannot be computed"),
        ("N = f'{1}'\n", "not a literal"),
        ("M = 1\n", "no such constant"),
    ],
)
def test_a_name_without_one_plain_value_is_refused_by_name(text: str, problem: str) -> None:
    with pytest.raises(ScriptError, match=rf"^N\b.*{problem}"):
        replace_constants(text, {"N": 5})


def test_a_comprehension_and_a_function_bind_names_of_their_own() -> None:
    text = "N = 1\nx = [N for N in (1, 2)]\ndef f():\n    N = 3\nclass C:\n    N = 4\n"
    assert replace_constants(text, {"N": 5}) == text.replace("N = 1", "N = 5")


def test_a_knob_is_its_constant_in_any_case_and_two_that_differ_in_case_are_refused() -> None:
    known = read_constants("LR = 1\nDepth = 2\nDEPTH = 3\nlow = 4\n")
    assert constant_of_knob("lr", known).name == "LR"
    assert constant_of_knob("low", known).name == "low"
    assert constant_of_knob("lr", read_constants("LR = 1\nlr = 2 * LR\n")).name == "LR"
    with pytest.raises(ScriptError, match="Depth and DEPTH differ in case only"):
        constant_of_knob("depth", known)
    with pytest.raises(ScriptError, match="WIDTH: the script has no such constant"):
        constant_of_knob("width", known)


def test_a_text_for_a_tuple_must_spell_one() -> None:
    with pytest.raises(ScriptError, match=r"BETAS is \(0\.8, 0\.95\) and not a text.*does not spell"):
        replace_constants(SCRIPT, {"BETAS": "__import__('os')"})


@pytest.mark.parametrize("text", ["N = (", "N = 1\x00", "\tN = 1", "x" * 10 + "(" * 300])
def test_what_is_not_python_is_refused(text: str) -> None:
    with pytest.raises(ScriptError, match="not valid Python"):
        read_constants(text)


@given(
    old=st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    new=st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_any_value_is_replaced_by_any_of_its_kind_and_nothing_else_changes(
    old: object, new: object, ending: str
) -> None:
    if isinstance(new, str) and not isinstance(old, str):
        return
    lines = ["# ü", "A = 1 # a", f"N = {old!r}  # the value", "B = (2,", "  3)", ""]
    changed = replace_constants(ending.join(lines), {"N": new})
    lines[2] = f"N = {new!r}  # the value"
    assert changed == ending.join(lines)
    names: dict[str, object] = {}
    exec(compile(ast.parse(changed), "copy", "exec"), names)
    assert names["N"] == new


def test_a_comment_above_counts_where_none_is_beside() -> None:
    found = read_constants("# -----\n# the\n# rate\nLR = 1\nWD = 2\n\n# other\n\nA = 3\n# above\nB = 4  # beside\n")
    assert [c.comment for c in found.values()] == ["the rate", "", "", "beside"]


@pytest.mark.parametrize(
    "deep",
    [
        f"SUM = {'+'.join(['1'] * 1500)}",
        f"x = {'+'.join(['1'] * 1500)}",
        "if x == 0:\n    pass\n" + "".join(f"elif x == {n}:\n    y = {n}\n" for n in range(1, 700)),
    ],
)
def test_what_is_nested_deeply_leaves_the_other_constants(deep: str) -> None:
    found = read_constants(f"LR = 0.1\n{deep}\nWD = 0.2\n")
    assert [name for name, constant in found.items() if not constant.problem] == ["LR", "WD"]


def test_a_star_import_below_a_constant_may_replace_it() -> None:
    known = read_constants("from a import *\nLR = 1.0\nfrom b import *\nWD = 0.1\n")
    assert "import of * may replace it (line 3)" in known["LR"].problem
    assert known["WD"].problem == ""
