"""Verdicts by kind. math_verify itself is used in the last part: one process for all of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autoresearch.benches.samples.grading import MAX_ANSWER_CHARS, Verdict, grade_text, math_equal, normalise_answer
from autoresearch.benches.samples.math_verifier import MathVerifier, Undecided


class FakeVerifier:
    """Answers as told, and collects what it was asked."""

    def __init__(self, answer: bool | str = False) -> None:
        self.answer = answer
        self.asked: list[list[tuple[str, str]]] = []

    def any_equal(self, pairs: list[tuple[str, str]]) -> bool:
        self.asked.append(pairs)
        if isinstance(self.answer, str):
            raise Undecided(self.answer)
        return self.answer


def graded(kind: str, expected: str, text: str, verifier: FakeVerifier | None = None) -> Verdict:
    return grade_text(kind, expected, text, verifier or FakeVerifier())


def test_a_number_is_compared_without_math_verify() -> None:
    verifier = FakeVerifier()
    verdict = graded("math", "1000", r"So \boxed{1{,}000}.", verifier)
    assert verdict == Verdict(True, "1000", "1{,}000")
    assert verifier.asked == []


def test_an_expression_is_compared_by_math_verify() -> None:
    verifier = FakeVerifier(True)
    verdict = graded("math", "(x+1)^2", r"\boxed{x^2+2x+1}", verifier)
    assert (verdict.correct, verdict.answer) == (True, "x^2+2x+1")
    assert verifier.asked == [[("(x+1)^2", "x^2+2x+1")]]


def test_a_percentage_is_compared_with_and_without_its_sign() -> None:
    verifier = FakeVerifier()
    assert not math_equal("0.1", r"10\%", verifier)
    assert verifier.asked == [[("0.1", r"10\%"), ("0.1", "10")]]
    assert math_equal("10", "10%", verifier)
    assert len(verifier.asked) == 1


def test_words_are_compared_as_text_only() -> None:
    verifier = FakeVerifier(True)
    assert not math_equal("no", "on", verifier)
    assert not math_equal("live", "evil", verifier)
    assert not math_equal("odd", r"\text{oddd}", verifier)
    assert not math_equal("x", "X", verifier)
    assert not math_equal("AB", "ab", verifier)
    assert math_equal("Even", r"\text{even}", verifier)
    assert verifier.asked == []


def test_a_letter_of_a_choice_may_be_the_answer_of_a_mathematical_case() -> None:
    verifier = FakeVerifier()
    assert math_equal("E", r"\mathrm{E}", verifier)
    assert math_equal("B", "(B) 12", verifier)
    assert not math_equal("B", "A", verifier)


def test_an_undecided_comparison_is_wrong_and_says_why() -> None:
    verdict = graded("math", "7", r"\boxed{x^{9}}", FakeVerifier("cpu_time"))
    assert (verdict.correct, verdict.detail) == (False, {"undecided": "cpu_time"})


def test_a_long_answer_is_compared_as_text_and_votes_by_its_hash() -> None:
    long = "1+" * MAX_ANSWER_CHARS + "1"
    verifier = FakeVerifier(True)
    verdict = graded("math", "1", rf"\boxed{{{long}}}", verifier)
    assert verdict.correct is False
    assert verifier.asked == []
    assert verdict.answer is not None
    assert len(verdict.answer) < 200
    assert normalise_answer("math", long + "0") != verdict.answer
    assert math_equal(long, f" {long}", verifier)


@pytest.mark.parametrize("kind", ["math", "mcq", "exact"])
def test_a_text_without_an_answer_is_wrong(kind: str) -> None:
    assert graded(kind, "A", "I do not know") == Verdict(False, None, None)


def test_a_choice_is_its_letter() -> None:
    assert graded("mcq", "B", r"\boxed{(B) Paris}").correct
    assert graded("mcq", "B", "Answer: B").correct
    assert graded("mcq", "B", "Answer: C\nAnswer: B").answer == "B"
    assert graded("mcq", "B", r"Answer: B, that is \boxed{C}").correct is False  # the box comes first, as upstream
    assert graded("mcq", "B", r"\boxed{Paris}" + "\nAnswer: B").correct
    assert graded("mcq", "C", r"\boxed{A, C}") == Verdict(False, None, "A, C")
    assert graded("mcq", "B", r"\boxed{Paris}") == Verdict(False, None, "Paris")


def test_an_exact_answer_is_normalised_text() -> None:
    assert graded("exact", "New York", r"\boxed{\text{new  york}}") == Verdict(True, "new york", r"\text{new  york}")
    assert graded("exact", "New York", r"\boxed{York}").correct is False
    long = "word " * 3_000
    assert graded("exact", long, rf"\boxed{{{long}}}").correct
    assert graded("exact", long + "more", rf"\boxed{{{long}}}").correct is False


def test_a_judges_case_has_an_answer_and_no_verdict() -> None:
    assert graded("judge", "anything", r"\boxed{Because}") == Verdict(None, "Because", "Because")
    assert graded("judge", "anything", "Because") == Verdict(None, None, None)


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    pytest.importorskip("math_verify")
    with MathVerifier() as real:
        yield real


# The first part are the pairs of upstream's tests/test_math_equal.py, which hold in both directions.
@pytest.mark.parametrize(
    ("expected", "answer"),
    [
        ("5", "5.0"),
        ("1/2", "0.5"),
        (r"918\frac{1}{2}", "918.5"),
        ("x^2+2x+1", "x^2 + 2*x - (-1)"),
        ("y = x^2+2x+1", "2x+ 1+x^2"),
        ("f'", "f'"),
        ("185", "185\\"),
        (".185", "0.185"),
        (r"17\text{ any text}", "17"),
        (r"\$10", "10"),
        (r"10\%", "10"),
        ("(r+5)(r+5)", "(r+5)^2"),
        (r"\frac{\sqrt{3}}{3}", r"\frac{\sqrt{3}}{3} \approx 0.577"),
        (
            r"\begin{pmatrix}0&0&0\\0&1&0\\0&0&1\end{pmatrix}",
            r"\begin{bmatrix} 0 & 0 & 0 \\ 0 & 1 & 0 \\ 0 & 0 & 1 \end{bmatrix}",
        ),
        ("0.1", r"10\%"),
        ("12000", "12 000"),
        ("12000", r"12\,000\text{ km}"),
        ("90", "90\u00b0"),
        ("2.5", "2 1/2"),
        ("3\\times10^8", "3e8"),
        (r"\{1, 2\}", r"\{2, 1\}"),
        ("-1, 1", r"\pm 1"),
        (r"\emptyset", r"\varnothing"),
        (r"\sqrt{8}", r"2\sqrt{2}"),
        ("016", "16"),
    ],
)
def test_equal_answers(verifier: MathVerifier, expected: str, answer: str) -> None:
    assert math_equal(expected, answer, verifier)
    assert math_equal(answer, expected, verifier)


@pytest.mark.parametrize(
    ("expected", "answer"),
    [
        ("5", "5.001"),
        ("x^2+2x+1", "x^3+2x+1"),
        ("E", r"\mathrm{E}*2"),
        (r"\sqrt{67},-\sqrt{85}", r"\sqrt{67}"),
        ("0", "12 000"),  # math_verify alone reads 12 times 0
        ("3/2", "2 1/2"),  # and 2 times 1/2, or 3/2
        ("(1, 2)", "(2, 1)"),
        ("1/3", "0.333"),
        ("10", "0.1"),
        ("0.1", "10"),
        ("7", r"\frac{}{}"),
        ("7", r"\left("),
        ("7", "}{"),
        ("7", ""),
    ],
)
def test_different_answers(verifier: MathVerifier, expected: str, answer: str) -> None:
    assert not math_equal(expected, answer, verifier)
    assert not math_equal(answer, expected, verifier)
