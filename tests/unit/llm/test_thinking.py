from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.llm.thinking import separate_thinking

TAGS = ["<think>", "</think>", "<THINKING>", "</thinking>", "[THINK]", "[/THINK]", "<reasoning>", "</reasoning>"]
TEXTS = st.lists(st.sampled_from([*TAGS, "<", "{}", " ", "a", "/think>"]), max_size=12).map("".join)
OPENING = re.compile(r"<(think|thinking|thought|reasoning)>|\[THINK\]", re.IGNORECASE)
TAG = re.compile(r"</?(think|thinking|thought|reasoning)>|\[/?THINK\]", re.IGNORECASE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("answer", ("answer", "", "none")),
        ("", ("", "", "none")),
        ("<think>a</think> b ", ("b", "a", "tags")),
        ("a</think>b", ("b", "a", "closing tag")),
        ("</think>b", ("b", "", "closing tag")),
        ("<think></think>b", ("b", "", "tags")),
        ("<think>a", ("", "a", "unclosed")),
        ("b<think>a", ("b", "a", "unclosed")),
        ("<think>a</think>b<think>c</think>d", ("d", "a</think>bc", "tags")),
        ("<think>a</think>b<think>c", ("b", "ac", "unclosed")),
        ("I <thinking>a</thinking> so", ("so", "I a", "tags")),
        ("[THINK]a[/THINK]b", ("b", "a", "tags")),
        ("a < b and c > d", ("a < b and c > d", "", "none")),
        ('{"reason": "I <think> so"}', ('{"reason": "I <think> so"}', "", "none")),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b",
            ("b", "a<|end|><|start|>assistant", "tags"),
        ),
    ],
)
def test_the_shapes(text, expected):
    assert separate_thinking(text) == expected


@given(TEXTS)
def test_the_answer_is_the_text_after_the_last_closing_tag_and_before_any_opening_one(text):
    answer = separate_thinking(text).answer
    rest = re.split(r"</(?:think|thinking|thought|reasoning)>|\[/THINK\]", text, flags=re.IGNORECASE)[-1]
    assert rest.strip().startswith(answer)
    omitted = rest.strip()[len(answer) :].lstrip()
    assert omitted == "" or OPENING.match(omitted)
    assert not TAG.search(answer.partition("{")[0])  # after a brace it is part of the answer


@given(TEXTS)
def test_nothing_is_invented_and_an_answer_is_separated_once(text):
    answer, thinking, style = separate_thinking(text)
    assert len(answer) + len(thinking) <= len(text)
    assert separate_thinking(answer) == (answer, "", "none")
    if style == "none":
        assert not TAG.search(text.partition("{")[0])  # after a brace it is part of the answer
    else:
        assert TAG.search(text)
