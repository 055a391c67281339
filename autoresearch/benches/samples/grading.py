"""Grade one sample by the kind of its case: mathematics, multiple choice, exact text; a judge's case stays ungraded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Protocol

from autoresearch.benches.samples.extraction import last_answer_line, last_box
from autoresearch.benches.samples.math_verifier import Undecided
from autoresearch.benches.samples.normalisation import (
    choice_letter,
    marked_letter,
    math_text,
    plain_text,
    vote_key,
    without_percent,
)

MAX_ANSWER_CHARS = 2_000  # a longer answer is compared as text only
CHOICES = "ABCDEFGHIJ"  # a mathematical case whose expected answer is one of these is compared by letter too
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ,")


class Verifier(Protocol):
    """What compares two expressions."""

    def any_equal(self, pairs: list[tuple[str, str]]) -> bool:
        """Whether one of the pairs (expected, answer) is equal. Raises ``Undecided``."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """``correct`` is ``None`` where a judge decides. ``answer`` is normalised, ``extracted`` as the model wrote it."""

    correct: bool | None
    answer: str | None
    extracted: str | None
    detail: dict[str, Any] = field(default_factory=dict)


def extract_answer(kind: str, text: str) -> str | None:
    r"""The final answer in ``text``, which is without thinking: the last box, for ``mcq`` also ``Answer: X``."""
    box = last_box(text)
    if kind != "mcq":
        return box
    if box is not None and choice_letter(box) is not None:
        return box
    return last_answer_line(text) or box


def normalise_answer(kind: str, extracted: str) -> str | None:
    """The answer by which samples vote; ``None`` where a choice has no letter. A long one is named by its hash."""
    extracted = extracted.strip()
    if kind == "mcq":
        return choice_letter(extracted)
    if kind != "exact" and len(extracted) <= MAX_ANSWER_CHARS:
        return vote_key(extracted)
    answer = plain_text(extracted) if kind == "exact" else extracted
    if len(answer) <= MAX_ANSWER_CHARS:
        return answer
    return f"{answer[:100]}... sha256 {hashlib.sha256(answer.encode(errors='replace')).hexdigest()}"


def grade_text(kind: str, expected: str, text: str, verifier: Verifier) -> Verdict:
    """Grade what a model wrote. A sample without an answer is wrong, unless a judge decides."""
    extracted = extract_answer(kind, text)
    answer = normalise_answer(kind, extracted) if extracted is not None else None
    if kind == "judge":
        return Verdict(None, answer, extracted)
    if extracted is None or answer is None:
        return Verdict(False, None, extracted)
    if kind == "mcq":
        return Verdict(answer == choice_letter(expected), answer, extracted)
    if kind == "exact":
        return Verdict(answer == normalise_answer(kind, expected), answer, extracted)
    try:
        return Verdict(math_equal(expected, extracted, verifier), answer, extracted)
    except Undecided as e:
        return Verdict(False, answer, extracted, {"undecided": e.reason})


def math_equal(expected: str, answer: str, verifier: Verifier) -> bool:
    """Whether a mathematical answer is right. Raises ``Undecided``.

    First as text, then, where the expected answer is one letter from A to J, as a choice, then by math_verify: as
    written, and without percent signs. Words are compared as text only: math_verify would take ``no`` and ``on`` for
    the same product of letters.
    """
    if max(len(expected), len(answer)) > MAX_ANSWER_CHARS:
        return expected.strip() == answer.strip()
    gold, given = math_text(expected), math_text(answer)
    plain = (without_percent(gold), without_percent(given))
    if vote_key(gold) == vote_key(given) or vote_key(plain[0]) == vote_key(plain[1]):
        return True
    if len(gold) == 1 and gold in CHOICES and marked_letter(given) == gold:
        return True
    if _is_words(gold) and _is_words(given):
        return len(gold) > 2 and gold.casefold().split() == given.casefold().split()
    pairs = [(gold, given)]
    if plain != pairs[0]:
        pairs.append(plain)
    return verifier.any_equal(pairs)


def _is_words(text: str) -> bool:
    return bool(text) and _LETTERS.issuperset(text)
