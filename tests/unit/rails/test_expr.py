"""The language of the cross constraints: what it computes, and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rails.expr import MAX_DEPTH, MAX_RULE_CHARS, Rule, RuleError

ENV = {"d_model": 1024, "n_head": 16, "lr": 3e-4, "lr_warmup": 25, "steps": 60, "precision": "fp8"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("d_model % n_head == 0", True),
        ("d_model % 48 == 0", False),
        ("lr_warmup + 5 <= steps / 2", True),
        ("lr_warmup + 6 <= steps / 2", False),
        ("1 < n_head <= 16 < d_model", True),
        ("1 < n_head < 16 < d_model", False),
        ("not n_head == 8", True),
        ("n_head == 8 or precision == 'fp8'", True),
        ("n_head == 16 and precision != 'fp8'", False),
        ("-lr_warmup * 2 // 3 == -17", True),  # floor division, as everywhere in Python
        ("not (n_head > 8 and lr > 1)", True),
        ("n_head == 16 or d_model % (n_head - 16) == 0", True),  # the second part is not computed
    ],
)
def test_a_rule_holds_or_does_not(text, holds):
    assert Rule.parse(text).holds(ENV) is holds


def test_a_rule_knows_the_names_it_uses():
    assert Rule.parse("d_model % n_head == 0 and steps > 1").names == {"d_model", "n_head", "steps"}


@pytest.mark.parametrize(
    "text",
    [
        "d_model % (n_head - 16) == 0",
        "lr / 0 > 1",
        "precision * 3 == 'fp8fp8fp8'",
        "3 * precision == 'fp8fp8fp8'",
        "-precision == 1",
        "precision < 3",
        "unknown > 1",
    ],
)
def test_a_rule_that_cannot_be_computed_is_an_error_with_its_text(text):
    with pytest.raises(RuleError, match="cannot be computed"):
        Rule.parse(text).holds(ENV)


NOT_A_RULE = {
    "an import": "__import__('os').system('touch owned')",
    "a call": "abs(lr) > 1",
    "a method": "precision.upper() == 'FP8'",
    "an attribute": "lr.real > 0",
    "the way to every class": "().__class__.__mro__[1].__subclasses__() == 1",
    "an index": "precision[0] == 'f'",
    "a lambda": "(lambda: 1) == 1",
    "a comprehension": "[x for x in precision] == 1",
    "a conditional": "(1 if lr else 2) > 1",
    "a walrus": "(x := 5) > lr",
    "a format string": "f'{lr}' == '1'",
    "a power": "9 ** 9 ** 9 > lr",
    "a shift": "1 << 99999999 > lr",
    "bits": "n_head & 1 == 0",
    "an inversion": "~n_head == 0",
    "a plus sign": "+lr > 0",
    "membership": "n_head in (4, 8)",
    "identity": "n_head is 16",
    "a tuple": "(1, 2) == 3",
    "a list": "[1] == 1",
    "a dict": "{1: 2} == 1",
    "a star": "*lr",
    "a complex number": "1j == lr",
    "bytes": "b'x' == precision",
    "None": "lr == None",
    "an ellipsis": "lr == ...",
    "True alone": "True",
    "True compared": "(lr > 1) == True",
    "infinity": "lr < 1e999",
    "two statements": "lr > 1; lr > 2",
    "an assignment": "lr = 1",
    "a statement": "import os",
    "two lines": "lr > 1\nlr > 2",
    "nothing": "",
    "blank": "   ",
    "a null byte": "lr > 1\0",
    "a lone surrogate": "precision == '\ud800'[0]",
    "half a rule": "lr >",
    "a value": "lr",
    "a sum": "lr + 1",
    "a negative number": "-lr",
    "a value in a condition": "lr > 1 and d_model",
    "not of a value": "not lr",
    "too long": f"lr > {'1' * MAX_RULE_CHARS}",
    "too many brackets": "(1 + " * 50 + "lr" + ")" * 50 + " > 1",
    "too deep": "not " * (MAX_DEPTH + 2) + "lr > 1",
    "a long sum": "+".join(["lr"] * (MAX_DEPTH + 3)) + " > 1",
}


@pytest.mark.parametrize("text", NOT_A_RULE.values(), ids=NOT_A_RULE.keys())
def test_text_that_is_not_a_rule_is_refused_when_it_is_parsed(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuleError):
        Rule.parse(text)
    assert list(tmp_path.iterdir()) == []  # no code in it was executed


def test_a_refusal_names_what_is_not_allowed():
    with pytest.raises(RuleError, match="Call is not allowed in a rule: only names, numbers"):
        Rule.parse("abs(lr) > 1")
    with pytest.raises(RuleError, match="compare it, for example lr - 1 > 0"):
        Rule.parse("lr - 1")


NUMBERS = st.sampled_from(["d_model", "n_head", "lr_warmup", "steps", "0", "1", "7", "2.5"])
SUMS = st.recursive(
    NUMBERS,
    lambda part: (
        st.builds("({} {} {})".format, part, st.sampled_from(["+", "-", "*", "/", "//", "%"]), part)
        | st.builds("(-{})".format, part)
    ),
    max_leaves=5,
)
COMPARISONS = st.builds("({} {} {})".format, SUMS, st.sampled_from(["<", "<=", "==", "!=", ">", ">="]), SUMS)
RULES = st.recursive(
    COMPARISONS,
    lambda part: (
        st.builds("({} {} {})".format, part, st.sampled_from(["and", "or"]), part) | st.builds("(not {})".format, part)
    ),
    max_leaves=4,
)


@given(RULES.filter(lambda text: len(text) <= MAX_RULE_CHARS), st.integers(0, 8))
def test_a_rule_computes_what_python_would(text, n_head):
    env = ENV | {"n_head": n_head}
    try:
        expected = eval(text, {"__builtins__": {}}, env)
    except ZeroDivisionError:
        with pytest.raises(RuleError, match="ZeroDivisionError"):
            Rule.parse(text).holds(env)
    else:
        assert Rule.parse(text).holds(env) is expected


@given(st.text(max_size=40) | st.text(alphabet="lr()[]{}<>=!+-*/%.,:;'\"0123456789 \n\\notadl@&|^~", max_size=60))
def test_any_text_is_a_rule_or_refused(text):
    try:
        rule = Rule.parse(text)
    except RuleError:
        return
    assert rule.tree is not None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x" * (MAX_RULE_CHARS + 1), f"a rule has at most {MAX_RULE_CHARS} characters, not {MAX_RULE_CHARS + 1}"),
        ("1 >", "'1 >' is not an expression"),
        ("lr > True", "True and False are not allowed in a rule"),
        ("lr > 1e999", "a number in it is too large"),
        ("-" * MAX_DEPTH + "lr > 0", f"a rule nests at most {MAX_DEPTH} deep"),
    ],
)
def test_the_reason_of_a_refused_rule_says_what_is_wrong(text, why):
    with pytest.raises(RuleError) as e:
        Rule.parse(text)
    assert str(e.value) == why


def test_a_rule_may_be_as_long_and_as_deep_as_the_limits_say():
    assert Rule.parse("lr > 0".ljust(MAX_RULE_CHARS)).holds(ENV)
    assert Rule.parse("-" * (MAX_DEPTH - 1) + "lr < 0").holds(ENV)


@pytest.mark.parametrize("text", ["-precision == 1", "precision + 1 == 2"])
def test_arithmetic_on_a_string_is_named(text):
    with pytest.raises(RuleError) as e:
        Rule.parse(text).holds(ENV)
    assert str(e.value) == f"{text} cannot be computed: TypeError: arithmetic on a string"
