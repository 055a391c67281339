"""Cut the proposals out of a model's answer, unchanged: the rails judge what the model wrote, not a rewrite."""

from __future__ import annotations

import json
from collections.abc import Iterator

from autoresearch.llm.answer import MAX_TEXT_CHARS

MAX_STARTS = 500  # opening braces that are tried
PROPOSAL_KEYS = frozenset({"knob", "new_value"})  # an object with one of these keys is meant as a proposal
SEVERAL_KEY = "changes"  # and one with this key as a proposal of several changes

_DECODER = json.JSONDecoder()


def extract_proposals(text: str, max_proposals: int, *, several: bool = False) -> tuple[str, ...]:
    """At most ``max_proposals`` JSON objects of ``text`` that are meant as proposals, each as written, in their order.

    They may stand alone, in a list, in an enclosing object, in a code fence, or in prose. Without ``several`` each
    change of a list is a proposal of its own.
    """
    keys = PROPOSAL_KEYS | {SEVERAL_KEY} if several else PROPOSAL_KEYS
    text = text[:MAX_TEXT_CHARS]
    found: list[str] = []
    found_end = 0
    for start in _object_starts(text):
        if start < found_end:
            continue  # inside a proposal that was cut out already
        end = _end_of_proposal(text, start, keys)
        if end is not None:
            found.append(text[start:end])
            found_end = end
        if len(found) == max_proposals:
            break
    return tuple(found)


def is_truncated_prose(text: str, finish_reason: str | None) -> bool:
    """Whether the tokens ran out in an answer that does not begin as JSON, possibly in a code fence.

    An object in such prose may be a discarded draft.
    """
    begins_as_json = text.lstrip("` \n\t").removeprefix("json").lstrip().startswith(("{", "["))
    return finish_reason == "length" and not begins_as_json


def _object_starts(text: str) -> Iterator[int]:
    start = -1
    for _ in range(MAX_STARTS):
        start = text.find("{", start + 1)
        if start < 0:
            return
        yield start


def _end_of_proposal(text: str, start: int, keys: frozenset[str]) -> int | None:
    """The end of the JSON object that begins at ``start``, or ``None`` if it is not a proposal."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return end if isinstance(value, dict) and keys & value.keys() else None
