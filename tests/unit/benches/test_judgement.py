"""What a judge's reply means: only what follows the form, and nothing that is found inside a text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.cases import Case
from autoresearch.benches.judgement import MAX_ANSWER_CHARS, Judgement, judge_messages, parse_judgement
from autoresearch.benches.records import BenchTrial

YES, NO = Judgement(1.0, True), Judgement(0.0, False)


@pytest.mark.parametrize(
    ("reply", "meaning"),
    [
        ("Judgement: Yes", YES),
        ("They agree.\n\nJudgement: No\n", NO),
        ("Judgement: No\nOn reflection:\nJudgement: Yes", YES),
        ("**Judgement: Yes**", YES),
        ("**Judgement**: no.", NO),
        ("JUDGMENT: YES", YES),
        ('{"correct": true}', YES),
        ('{"correct": false, "reason": "another unit"}', NO),
        ('{"score": 0.25, "reason": "one of four"}', Judgement(0.25, None)),
        ('{"score": 1}', Judgement(1.0, None)),
        ('```json\n{"score": 0.5}\n```', Judgement(0.5, None)),
    ],
)
def test_a_reply_in_the_form(reply, meaning):
    assert parse_judgement(reply) == meaning


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "   \n",
        "true",
        "Yes",
        "yes, that is true",
        "It is true that this is correct.",
        "Judgement: Yes, mostly",
        "Judgement: Yes or No",
        "Judgement: Yes\nBut I may be wrong.",
        "The Judgement: Yes",
        "Judgement:",
        "Judgement: Maybe",
        '{"correct": "true"}',
        '{"correct": 1}',
        '{"correct": null}',
        '{"correct": true, "score": 0}',
        '{"correct": true, "correct": false}',
        '{"score": 1.5}',
        '{"score": -0.1}',
        '{"score": NaN}',
        '{"score": true}',
        '{"score": "0.5"}',
        '{"score": 0.5, "more": 1}',
        '[{"correct": true}]',
        'Here it is: {"correct": true}',
        '{"correct": true} {"correct": true}',
        '{"correct": true',
        "[" * 100_000,
    ],
)
def test_a_reply_outside_the_form_has_no_meaning(reply):
    assert parse_judgement(reply) is None


@given(st.text(max_size=60))
def test_any_text_is_refused_or_follows_the_form(text):
    found = parse_judgement(text)
    if found is not None:
        assert text.strip()[-1] in "sSoO*_.}`"


@given(st.floats(0, 1))
def test_any_score_from_0_to_1_is_read(score):
    assert parse_judgement(json.dumps({"score": score})) == Judgement(score, None)


def trial(answer: str | None, **evidence: object) -> BenchTrial:
    return BenchTrial(ts="t", case="a", sample=0, status="finished", answer=answer, evidence=evidence)


def case(**payload: object) -> Case:
    return Case(id="a", suite="samples", payload=payload)


def test_the_request_has_question_expected_answer_and_answer():
    messages = judge_messages(case(question="2 + 2?", expected_answer="4"), trial("It is four."))
    assert messages is not None
    assert [m["role"] for m in messages] == ["system", "user"]
    text = messages[1]["content"]
    assert text.index("2 + 2?") < text.index("It is four.") < text.index("The expected answer:\n4")
    assert "Judgement: Yes" in text


def test_a_list_of_titles_is_an_expected_answer():
    messages = judge_messages(case(question="Which papers?", answer=["One", "Two"]), trial("One"))
    assert messages is not None
    assert "The expected answer:\nOne\nTwo" in messages[1]["content"]


def test_a_rubric_of_the_attempt_is_used():
    rubric = {"rubric": "Is it polite?", "weight": 0.3}
    messages = judge_messages(case(task={"prompt": {"text": "Answer the ticket."}}), trial("Dear ...", judge=rubric))
    assert messages is not None
    assert "Answer the ticket." in messages[1]["content"]
    assert "The rubric:\nIs it polite?" in messages[1]["content"]
    assert '"score"' in messages[1]["content"]


def test_a_case_with_nothing_to_compare_is_not_judged():
    assert judge_messages(case(question="?"), trial("x")) is None
    assert judge_messages(case(task={"prompt": {"text": "?"}}), trial("x", judge={"rubric": 3})) is None


@given(st.text(alphabet="=\nab", max_size=200))
def test_the_answer_cannot_end_its_own_quotation(answer):
    messages = judge_messages(case(question="?", expected_answer="x"), trial(answer))
    assert messages is not None
    before, quoted = messages[1]["content"].split("The answer to grade:\n")
    marker, rest = quoted.split("\n", 1)
    assert set(marker) == {"="}
    assert marker not in answer
    assert rest.startswith(f"{answer}\n{marker}\n\nThe expected answer:")
    assert before


def test_of_a_long_answer_the_end_is_shown():
    messages = judge_messages(case(question="?", expected_answer="x"), trial("start " + "y" * MAX_ANSWER_CHARS))
    assert messages is not None
    assert "6 characters before this are not shown" in messages[1]["content"]
    assert "start" not in messages[1]["content"]
