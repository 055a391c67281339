from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.llm_calls import Classification as End
from autoresearch.llm.answer import Answer
from autoresearch.proposers.prompting.classify_reply import classify_reply
from rails import Rail, Verdict

RAILS = {
    "good": Verdict(True, Rail.PASSED, ""),
    "no JSON": Verdict(False, Rail.R1_SCHEMA, "not one JSON object"),
    "off the menu": Verdict(False, Rail.R2_MENU, "no knob"),
    "too high": Verdict(False, Rail.R3_RANGE, "out of range"),
    "known": Verdict(False, Rail.R6_NOVELTY, "measured"),
    "too dear": Verdict(False, Rail.R7_BUDGET, "too slow"),
}


def judge(raw: str) -> Verdict:
    return RAILS.get(raw, RAILS["no JSON"])


def classify(text: str, *proposals: str, **more: object) -> tuple[End, str]:
    return classify_reply(Answer(End.OK, text=text, **more), proposals, judge)


@given(st.sampled_from([end for end in End if end is not End.OK]), st.text())
def test_a_failed_call_keeps_its_classification_and_is_not_judged(end, detail):
    def never(_raw: str) -> Verdict:
        raise AssertionError

    assert classify_reply(Answer(end, detail), (), never) == (end, detail)


@pytest.mark.parametrize(
    ("raw", "end"),
    [
        ("good", End.OK),
        ("no JSON", End.SCHEMA_INVALID),
        ("off the menu", End.RAIL_BLOCKED),
        ("too high", End.RAIL_BLOCKED),
        ("too dear", End.RAIL_BLOCKED),
        ("known", End.DUPLICATE),
    ],
)
def test_one_proposal(raw, end):
    for result in (classify(raw), classify(f"so: {raw}", raw)):
        assert result[0] is end
        assert result[1] == ("" if end is End.OK else f"{RAILS[raw].rail}: {RAILS[raw].reason}")


@given(st.lists(st.sampled_from(list(RAILS)), min_size=1))
def test_of_several_the_best_counts_else_the_one_that_came_furthest(raws):
    end, detail = classify("text", *raws)
    assert (end is End.OK) == ("good" in raws)
    if end is not End.OK:
        rails = list(Rail)
        furthest = max((RAILS[raw] for raw in raws), key=lambda v: rails.index(v.rail))
        assert detail == f"{furthest.rail}: {furthest.reason}"


@pytest.mark.parametrize(
    "markup",
    [
        "<tool_call>",
        "<|tool_call|>",
        "<TOOLCALL>[{",
        "<|python_tag|>",
        "[TOOL_CALLS]",
        "<function=f>",
        "to=functions.f",
    ],
)
def test_a_tool_call_in_the_text(markup):
    assert classify(f"{markup} x")[0] is End.TOOL_FORMAT_ERROR
    assert classify(f"{markup} good", "good")[0] is End.OK
    assert classify(f"{markup} too high", "too high")[0] is End.RAIL_BLOCKED


def test_a_tool_call_beside_the_text():
    assert classify("I call it", has_tool_call=True)[0] is End.TOOL_FORMAT_ERROR


def test_an_answer_that_was_cut_off():
    assert classify("{", finish_reason="length")[0] is End.OUTPUT_TRUNCATED
    assert classify("{}", "no JSON", finish_reason="length")[0] is End.SCHEMA_INVALID
    assert classify("good", "good", finish_reason="length")[0] is End.OK
