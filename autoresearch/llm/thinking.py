"""Separate a reasoning model's thinking from its answer. Thinking is never parsed: it is full of discarded drafts.

The forms that servers return: ``<think>..</think>`` before the answer; only the closing tag, where the chat template
contains the opening one; the channels of gpt-oss; an opening tag alone, where the tokens ran out; or a separate field
beside the text.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

Style = Literal["none", "tags", "closing tag", "unclosed", "field"]

_TAG = r"(?:think|thinking|thought|reasoning)"
_OPEN = re.compile(rf"<{_TAG}>|\[THINK\]|<\|channel\|>analysis<\|message\|>", re.IGNORECASE)
_CLOSE = re.compile(rf"</{_TAG}>|\[/THINK\]|<\|channel\|>final<\|message\|>", re.IGNORECASE)


class Separated(NamedTuple):
    """The answer, the thinking, and its form; ``unclosed`` means that no answer follows the thinking."""

    answer: str
    thinking: str
    style: Style


def separate_thinking(text: str) -> Separated:
    """Split ``text``. Everything before the last closing tag is thinking, with or without an opening tag."""
    thought, rest = "", text
    style: Style = "none"
    for closing in _CLOSE.finditer(text):
        thought, rest = text[: closing.start()], text[closing.end() :]
    if thought or rest != text:
        style = "tags" if _OPEN.search(thought) else "closing tag"
    opening = _OPEN.search(rest)
    if opening and "{" not in rest[: opening.start()]:  # after a brace it is part of the answer
        thought, rest, style = f"{thought}{rest[opening.end() :]}", rest[: opening.start()], "unclosed"
    return Separated(rest.strip(), _OPEN.sub("", thought).strip(), style)


def opens_thinking(text: str) -> bool:
    """Whether an opening tag stands in ``text``: in an answer, thinking that never closed."""
    return _OPEN.search(text) is not None
