"""The final answer in a model's text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.samples.extraction import MAX_TEXT_CHARS, last_answer_line, last_box

PIECES = st.sampled_from(["a", "7", " ", r"\{", r"\}", r"\frac", "\\\\ ", "^", "$", "\n", r"\fbox"])
BALANCED = st.recursive(
    st.lists(PIECES, max_size=4).map("".join),
    lambda inner: st.lists(inner, max_size=3).map(lambda parts: "".join(f"{{{part}}}x" for part in parts)),
)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{42}.", "42"),
        (r"\boxed{ 42 }", "42"),
        (r"\boxed {42}", "42"),
        ("\\boxed\n{42}", "42"),
        (r"\boxed{1} and then \boxed{2}", "2"),
        (r"\boxed{\frac{1}{\sqrt{2}}}", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
        (r"\boxed{\begin{matrix} 1 \\ 2 \end{matrix}}", r"\begin{matrix} 1 \\ 2 \end{matrix}"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"$$\boxed{5}$$", "5"),
        (r"\fbox{8}", "8"),
        (r"\boxed{2} as in \fbox{figure}", "2"),  # a frame counts only where there is no box
        (r"\boxed{185\}", "185\\"),  # upstream's reading of a brace that was escaped by mistake
        (r"\boxed{42}, as asked inside \boxed{}.", "42"),  # an empty box is not an answer
        (r"\boxed{42}, written with \boxed.", "42"),
        (r"\boxed{}", None),
        (r"\boxed{  }", None),
        (r"\boxed{42", None),
        (r"\boxed{1} and \boxed{2", None),  # the text ends inside the last box
        (r"\boxed 42", None),
        (r"\boxedx{42}", None),
        ("42", None),
        ("", None),
        ("boxed{42}", None),
    ],
)
def test_the_last_box(text: str, answer: str | None) -> None:
    assert last_box(text) == answer


@given(BALANCED, st.text(alphabet="xyz {}\\$", max_size=20), st.text(alphabet="xyz $.", max_size=20))
def test_any_balanced_content_comes_back_from_its_box(content: str, before: str, after: str) -> None:
    text = f"{before.rstrip(chr(92))} \\boxed{{{content}}}{after}"
    assert last_box(text) == (content.strip() or None)


@given(st.text(alphabet="\\boxed{} 1fn", max_size=60))
def test_any_text_has_an_answer_or_none(text: str) -> None:
    answer = last_box(text)
    assert answer is None or (answer and answer == answer.strip() and answer in text)


def test_only_the_end_of_a_long_text_is_searched() -> None:
    assert last_box(r"\boxed{1}" + "x" * MAX_TEXT_CHARS) is None
    assert last_box("x" * MAX_TEXT_CHARS + r"\boxed{1}") == "1"


@pytest.mark.parametrize("unit", ["\\boxed{", "\\boxed{}", "{", "\\boxed", "\\{", "Answer: ", "answer:*** "])
def test_a_text_of_a_million_characters_is_no_harm(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    assert last_box(text) is None
    assert last_answer_line(text) is None


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("Answer: B", "B"),
        ("answer: C.", "C"),
        ("**Answer:** D", "D"),
        ("**Answer: D**", "D"),
        ("Answer: (A)", "A"),
        ("Answer : E", "E"),
        ("Final Answer: B", "B"),
        ("Answer: $B$", "B"),
        (r"Answer: \text{B}", "B"),
        ("Answer\uff1a B", "B"),
        ("Answer: A\nno,\nAnswer: B", "B"),
        ("Answer: b", "B"),
        ("Answer: b\nand so on", "B"),
        ("Answer: a good one", None),
        ("Answer: Because", None),
        ("Answer: B2", None),
        ("The answer is B", None),
        ("Unanswer", None),
        ("Answer:", None),
        ("", None),
    ],
)
def test_the_last_answer_line(text: str, letter: str | None) -> None:
    assert last_answer_line(text) == letter
