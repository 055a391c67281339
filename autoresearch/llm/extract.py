"""The proposals in a model's answer, cut out of it as they stand: the rails judge what was written, not a rewrite."""

from __future__ import annotations

import json
from collections.abc import Iterator

MAX_TEXT_CHARS = 1 << 16  # of an answer, that is looked through
MAX_STARTS = 500  # braces at which an object may begin
MARKS = frozenset({"knob", "new_value"})  # what has one of these is meant as a proposal

_DECODER = json.JSONDecoder()


def extract_proposals(text: str, most: int) -> tuple[str, ...]:
    """At most ``most`` JSON objects of ``text`` that are meant as proposals, each as written, in their order.

    They may stand alone, in a list, in an object around them, in a fence, or in prose.
    """
    text = text[:MAX_TEXT_CHARS]
    found: list[str] = []
    at = 0
    for start in _braces(text):
        if start < at:
            continue  # inside one that was cut out already
        end = _end_of_proposal(text, start)
        if end is not None:
            found.append(text[start:end])
            at = end
        if len(found) == most:
            break
    return tuple(found)


def looks_like_json(text: str) -> bool:
    """Whether an answer begins as JSON, a fence around it aside; where the tokens ran out, prose is no answer."""
    return text.lstrip("` \n\t").removeprefix("json").lstrip().startswith(("{", "["))


def _braces(text: str) -> Iterator[int]:
    at = -1
    for _ in range(MAX_STARTS):
        at = text.find("{", at + 1)
        if at < 0:
            return
        yield at


def _end_of_proposal(text: str, start: int) -> int | None:
    """Where the object that begins at ``start`` ends, if it is one and is meant as a proposal."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return end if isinstance(value, dict) and MARKS & value.keys() else None
