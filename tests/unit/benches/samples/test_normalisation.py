"""Answers as text: numbers in one way of writing, letters of choices, and what votes are clustered by."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.samples.normalisation import (
    choice_letter,
    math_text,
    plain_text,
    vote_key,
    without_percent,
)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("$42$", "42"),
        (r"\(42\)", "42"),
        (r"\[42\]", "42"),
        ("**42**", "42"),
        ("42.", "42"),
        ("42\\", "42"),
        (r"\text{42}", "42"),
        (r"\mathrm{\textbf{42}}", "42"),
        ("{42}", "42"),
        (r"\text{a}+\text{b}", r"\text{a}+\text{b}"),
        ("12,000", "12000"),
        ("12 000", "12000"),
        (r"12\,000", "12000"),
        (r"12{,}000", "12000"),
        ("12,\\!000", "12000"),
        ("12\u202f000\u202f000", "12000000"),
        ("1,234.5", "1234.5"),
        (r"\$1,234", r"\$1234"),
        ("\u20ac1,234", "1234"),
        ("12 \u20ac", "12"),
        ("x = 12 000", "x = 12000"),
        (r"12\,000\text{ km}", r"12000\text{ km}"),
        ("1, 234", "1, 234"),  # a list
        ("(1,234)", "(1,234)"),  # a point or an interval
        ("12,34", "12,34"),
        ("1234,567", "1234,567"),
        ("2 1/2", r"2\frac{1}{2}"),
        ("-2 1/2", r"-2\frac{1}{2}"),
        ("3e8", r"3\times10^{8}"),
        ("1.5E-3", r"1.5\times10^{-3}"),
        ("\u22121", "-1"),
        ("90\u00b0", r"90^\circ"),
        (r"90\degree", r"90^\circ"),
        (r"90^{\degree}", r"90^\circ"),
        (r"\dfrac{1}{2}", r"\frac{1}{2}"),
        (r"\varnothing", r"\emptyset"),
        (r"5~\text{cm}", r"5 \text{cm}"),
        ("", ""),
        ("$", ""),
    ],
)
def test_one_way_of_writing(written: str, text: str) -> None:
    assert math_text(written) == text


def test_a_percent_sign_at_the_end_is_removed() -> None:
    assert [without_percent(text) for text in ("10%", r"10\%", "10 %", "10", "%5")] == ["10", "10", "10", "10", "%5"]


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(B)", "B"),
        ("(b)", "B"),
        ("B.", "B"),
        ("B)", "B"),
        ("B. Paris", "B"),
        ("(C) The plan A", "C"),  # upstream takes A here
        (r"\text{B}", "B"),
        (r"\textbf{(B)}", "B"),
        ("**B**", "B"),
        ("<B>", "B"),
        ("{B}", "B"),
        ("$B$", "B"),
        ("Option D", "D"),
        ("the answer is C", "C"),
        ("\uff22", "B"),  # fullwidth
        ("\u062c", "C"),  # Arabic
        ("\u09a2", "D"),  # Bengali
        ("A, C", None),  # it does not choose
        ("A and C", None),
        ("(A) or (B)", None),
        ("Paris", None),
        ("7", None),
        ("", None),
    ],
)
def test_the_letter_of_a_choice(answer: str, letter: str | None) -> None:
    assert choice_letter(answer) == letter


@pytest.mark.parametrize(
    "written", ["Paris", " paris ", r"\text{Paris}", "PARIS.", '"Paris"', "\u201cParis\u201d", "**Paris**"]
)
def test_exact_answers_ignore_case_spacing_and_wrappers(written: str) -> None:
    assert plain_text(written) == "paris"


def test_exact_answers_differ_in_their_words() -> None:
    assert plain_text("new york") != plain_text("newyork")
    assert plain_text("St.\n Gallen") == "st. gallen"


@pytest.mark.parametrize(
    "alike",
    [
        ["0.5", ".5", r"\frac{1}{2}", "1/2", r"\frac12", r"\dfrac{1}{2}", "0.50", "2/4", "x = 0.5", r"\frac{2}{4}"],
        ["1000", "1,000", r"1\,000", "1000.0", "01000", r"\$1000", "$1000$", r"1000\text{ dollars}"],
        ["90", r"90^\circ", "90\u00b0", r"90^{\circ}"],
        [r"\left( 1, 2 \right)", "(1,2)", r"(1,\,2)"],
        ["x+1", "x + 1", r"x\,+\,1"],
        [r"5\text{ cm}", r"5\,\mathrm{cm}", r"5\text{ cm}^2", "5"],
    ],
)
def test_one_answer_in_several_notations_is_one_vote(alike: list[str]) -> None:
    assert len({vote_key(answer) for answer in alike}) == 1


def test_answers_that_a_grade_may_tell_apart_are_several_votes() -> None:
    different = ["10", "10%", "0.1x", "x=1,y=2", "(1,2)", "[1,2]", "x", "X", "1/0", r"\pi", "-0.5", "A", "x<10"]
    assert len({vote_key(answer) for answer in different}) == len(different)


@given(st.fractions(min_value=-1000, max_value=1000, max_denominator=50))
def test_a_fraction_is_its_own_vote_in_every_notation(number: Fraction) -> None:
    sign, over, under = "-" if number < 0 else "", abs(number.numerator), number.denominator
    assert vote_key(f"{number}") == vote_key(rf"{sign}\frac{{{over}}}{{{under}}}") == str(number)


@given(st.text(max_size=80))
def test_every_text_has_a_key_and_normalising_twice_changes_nothing(text: str) -> None:
    choice_letter(text)
    assert plain_text(plain_text(text)) == plain_text(text)
    assert isinstance(vote_key(text), str)


@pytest.mark.parametrize("unit", ["{", "}", "\\text{", "$", "1,000", " ", "1 ", "\\frac{", "x=", "A, ", "( "])
def test_a_long_answer_is_no_harm(unit: str) -> None:
    text = (unit * 2_000)[:2_000]
    vote_key(text)
    choice_letter(text)
    plain_text(unit * 100_000)
