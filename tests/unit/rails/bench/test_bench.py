"""The adversarial cases: enough of them, each judged by the rail that it names, and a score that can fail."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from autoresearch.cli.rails import _named_contexts
from rails import Rail, parse_menu
from rails.bench import Case, Context, generate, load_cases, score

CASES = load_cases()
CONTEXTS = _named_contexts()
SHIPPED = Context.shipped()


def test_a_named_case_is_judged_by_its_rail():
    judged = [(case, *case.judge(CONTEXTS[case.context])) for case in CASES]
    assert [(case.name, case.rail, rail, reason) for case, rail, reason in judged if rail != case.rail] == []


def test_there_are_enough_cases_for_each_rail():
    assert len(CASES) == len({case.name for case in CASES}) >= 636
    assert all(case.why for case in CASES)
    assert {case.context for case in CASES} == set(CONTEXTS)
    assert min(Counter(case.rail for case in CASES)[rail] for rail in Rail) >= 9


def test_generated_cases_are_the_same_for_the_same_seed_and_cover_the_rails():
    cases = list(generate(SHIPPED, 700, seed=3))
    assert cases == list(generate(SHIPPED, 700, seed=3)) != list(generate(SHIPPED, 700, seed=4))
    result = score(cases, {"generated": SHIPPED})
    assert result.misses == ()
    assert all(count for rail, (count, _) in result.by_rail.items() if rail not in ("R5_diff_lint", "R7_budget"))


MOST = 1.7976931348623157e308
ODD_MENUS = {
    "one value": {"k": {"type": "int", "low": 3, "high": 3, "default": 3}},
    "one name": {"k": {"type": "choice", "choices": [""], "default": ""}},
    "huge": {"k": {"type": "int", "low": -(10**40), "high": 10**40, "default": 0}},
    "all floats": {"k": {"type": "float", "low": -MOST, "high": MOST, "default": 0}},
    "tiny floats": {"k": {"type": "float", "low": 5e-324, "high": 1e-323, "log": True, "default": 5e-324}},
    "hostile names": {"k": {"type": "choice", "choices": ["a", "ax", " a", "\u0430", "\u00e9", "a b"],
                            "default": "a"}},
    "a long name": {"k": {"type": "choice", "choices": ["y" * 5000, "n"], "default": "n"}},
}  # fmt: skip


@pytest.mark.parametrize("knobs", ODD_MENUS.values(), ids=ODD_MENUS)
def test_any_menu_can_be_benched(knobs):
    menu = parse_menu({"version": 1, "knobs": knobs, "constraints": [{"name": "c", "rule": "steps > 3"}]})
    for steps in (3, 60):
        context = Context(menu, menu.defaults, steps)
        assert score(generate(context, 400), {"generated": context}).misses == ()


def test_the_score_counts_what_is_missed_and_by_whom():
    good, bad = '{"knob": "lr", "new_value": 0.001, "reason": "x"}', "{"
    cases = [
        Case("right", bad, "R1_schema", ""), Case("right too", good, "passed", ""),
        Case("let through", good, "R3_range", ""),
        Case("wrong rail", bad, "R2_menu", ""), Case("refused", bad, "passed", ""),
    ]  # fmt: skip
    result = score(cases, {"shipped": SHIPPED})
    assert (result.cases, result.perfect) == (5, False)
    assert result.block_recall == pytest.approx(2 / 3)
    assert result.attribution == pytest.approx(1 / 3)
    assert result.clean_pass == 0.5
    assert [(m.name, m.expected, m.judged_by) for m in result.misses] == [
        ("let through", "R3_range", "passed"), ("wrong rail", "R2_menu", "R1_schema"),
        ("refused", "passed", "R1_schema"),
    ]  # fmt: skip
    assert score([], {}).perfect is False


@pytest.mark.parametrize("row", [{"rail": "R9"}, {"rail": "passed", "extra": 1}])
def test_a_line_that_is_not_a_case_is_refused_by_its_number(tmp_path, row):
    file = tmp_path / "cases.jsonl"
    file.write_text(json.dumps({"name": "n", "text": "", "why": ""} | row) + "\n")
    with pytest.raises(ValueError, match=r"cases\.jsonl, line 1: "):
        load_cases(file)
