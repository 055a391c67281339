"""What the messages of an imported attempt show: the result lists, and the final nomination."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoresearch.benches.jsonl import NotJson, decode_json
from autoresearch.benches.research.candidates import Candidates, read_nominations
from autoresearch.benches.research.papers import Paper, normalise_id, same_paper
from autoresearch.benches.research.tool_calls import find_text_calls

_RESULTS = re.compile(r"<tool_response>(.*?)</tool_response>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Replay:
    """``lists`` are the result lists in order, ``nominee`` is the final nomination or ``None``.

    ``agrees``: the replay ends with the candidates that are recorded. Where it does not, its nominee is not known to be
    that of the attempt.
    """

    lists: tuple[tuple[Paper, ...], ...]
    nominee: Paper | None
    agrees: bool


def replay(messages: Sequence[Mapping[str, Any]], candidates: Sequence[Paper]) -> Replay:
    """Replay an attempt. ``candidates`` are those that it ended with, as recorded."""
    lists: list[tuple[Paper, ...]] = []
    found = Candidates()
    for message in messages:
        text = message.get("content")
        if not isinstance(text, str):
            continue
        if message.get("role") == "assistant":
            answer = find_text_calls(text, (), {}).text
            for nomination in read_nominations(answer):
                found.nominate(nomination, lists[-1] if lists else ())
        elif message.get("role") in ("user", "tool"):
            shown = _result_list(text, is_tool=message["role"] == "tool")
            if shown is not None:
                lists.append(shown)
    agrees = len(found.accumulated) == len(candidates) and all(map(same_paper, found.accumulated, candidates))
    nominee = next((paper for paper in candidates if found.nominee and same_paper(paper, found.nominee)), None)
    return Replay(tuple(lists), nominee, agrees)


def _result_list(text: str, *, is_tool: bool) -> tuple[Paper, ...] | None:
    """The papers of a result list; of an older one the titles remain, in the same order."""
    match = _RESULTS.search(text)
    if match is None and not is_tool:
        return None
    try:
        raw: Any = decode_json(match[1]) if match else json.JSONDecoder().raw_decode(text)[0]
    except (NotJson, ValueError, RecursionError):
        return None
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        return None
    return tuple(_paper(item) for item in raw)


def _paper(item: Mapping[str, Any]) -> Paper:
    identity, title = item.get("arxiv_id"), item.get("paper_title")
    return Paper(
        normalise_id(identity) if isinstance(identity, str) else "", title.strip() if isinstance(title, str) else ""
    )
