from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.llm.extract import MAX_STARTS, PROPOSAL_KEYS, extract_proposals, is_truncated_prose

GOOD = '{"knob": "lr", "new_value": 0.002, "reason": "twice"}'
PIECES = [
    GOOD,
    '{"knob":1}',
    "{",
    "}",
    "[",
    "]",
    '"',
    "\\",
    ",",
    '{"a":',
    '{"new_value": NaN}',
    "```",
    "{{}}",
    "é",
    "\ud800",
]
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=15).map("".join))


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"[{GOOD}]",
        f'{{"proposals": [{GOOD}]}}',
        f"```json\n{GOOD}\n```",
        f"so {{x}} {GOOD} {{y",
        f'{{"a": {{"b": [{GOOD}]}}}}',
        f'{{"unfinished": [{GOOD}, {{"knob": "l',
        f"{{{GOOD}}}",
    ],
)
def test_a_proposal_is_found_wherever_it_stands(text):
    assert extract_proposals(text, 3) == (GOOD,)


def test_they_come_in_their_order_and_no_more_than_asked_for():
    others = [GOOD.replace("0.002", str(n)) for n in range(1, 6)]
    assert extract_proposals("\n".join(others), 3) == tuple(others[:3])


def test_an_object_inside_a_proposal_is_not_another():
    nested = '{"knob": "lr", "new_value": {"knob": "lr"}}'
    assert extract_proposals(nested, 3) == (nested,)


def test_an_object_that_is_not_a_proposal_is_ignored():
    assert extract_proposals('{"a": 1} {"name": "propose", "arguments": "{}"} []', 3) == ()


@given(TEXTS, st.integers(1, 4))
def test_proposals_are_pieces_of_the_text_in_its_order_and_each_is_json(text, most):
    found, at = extract_proposals(text, most), 0
    assert len(found) <= most
    for piece in found:
        at = text.index(piece, at) + len(piece)
        assert PROPOSAL_KEYS & json.loads(piece).keys()


@pytest.mark.parametrize(
    "text", ['{"a":' * 50_000, "{" * 100_000, '{"' * 50_000, "[" * 100_000, '{"knob":"' + "x" * 10**6]
)
def test_no_text_takes_long_or_raises(text):
    assert extract_proposals(text, 3) == ()


def test_behind_too_many_braces_nothing_is_looked_for():
    assert extract_proposals("{ " * MAX_STARTS + GOOD, 3) == ()
    assert extract_proposals("{ " * (MAX_STARTS - 1) + GOOD, 3) == (GOOD,)


@pytest.mark.parametrize("text", [GOOD, f"[{GOOD}", "```json\n{", "``` json [", "\n  {"])
def test_an_answer_that_begins_as_json_is_not_truncated_prose(text):
    assert not is_truncated_prose(text, "length")


@pytest.mark.parametrize("text", ["", "so {", "```python\n{", "json: {", "```"])
def test_other_text_is_if_the_tokens_ran_out(text):
    assert is_truncated_prose(text, "length")
    assert not is_truncated_prose(text, "stop")


def test_a_list_of_changes_is_one_proposal_where_several_are_allowed():
    one = '{"changes": [{"knob": "lr", "new_value": 1}, {"knob": "beta1", "new_value": 2}], "reason": "x"}'
    assert extract_proposals(f"Sure: {one}", 3, several=True) == (one,)
    assert len(extract_proposals(one, 3)) == 2
