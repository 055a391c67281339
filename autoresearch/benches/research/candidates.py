"""The papers that a model nominates: ``<candidates>[0], [3]</candidates>``, or ``None``: AutoResearchBench's form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from autoresearch.benches.research.papers import Paper

State = Literal["empty", "ids", "none"]

_TAG = re.compile(r"<(/?)candidates>", re.IGNORECASE)
_DONE = re.compile(r"<answer>\s*Done\b", re.IGNORECASE)
_ID = re.compile(r"[0-9]{1,6}")
_SEPARATOR = re.compile(r"[\s,;]+")


@dataclass(frozen=True, slots=True)
class Nomination:
    """One ``<candidates>`` block. ``unreadable`` are its words that are neither ids nor ``None``."""

    state: State
    ids: tuple[int, ...] = ()
    unreadable: tuple[str, ...] = ()


def read_nominations(text: str) -> tuple[Nomination, ...]:
    """The blocks of an answer without its thinking, in their order. One pass, however many tags there are."""
    found: list[Nomination] = []
    start: int | None = None
    for tag in _TAG.finditer(text):
        if not tag[1]:
            start = tag.end()
        elif start is not None:
            found.append(_read_block(text[start : tag.start()]))
            start = None
    return tuple(found)


def says_done(text: str) -> bool:
    """Whether the answer holds upstream's end signal, ``<answer>Done</answer>``."""
    return _DONE.search(text) is not None


def _read_block(body: str) -> Nomination:
    plain = re.sub(r"[`\"'\[\]]", " ", body).strip()
    if not plain:
        return Nomination("empty")
    if plain.rstrip(".").lower() == "none":
        return Nomination("none")
    words = [word for word in _SEPARATOR.split(plain) if word]
    ids = tuple(dict.fromkeys(int(word) for word in words if _ID.fullmatch(word)))
    unreadable = tuple(word for word in words if not _ID.fullmatch(word))
    return Nomination("ids" if ids else "empty", ids, unreadable)


@dataclass(slots=True)
class Candidates:
    """The papers nominated so far. An id is the position in the latest result list, from 0; ``None`` clears the list.

    ``accumulated`` holds each paper once, in the order in which it was first nominated: upstream's grader scores its
    first. ``last`` are the papers of the latest block that named any.
    """

    accumulated: list[Paper] = field(default_factory=list)
    last: tuple[Paper, ...] = ()
    state: State = "empty"
    cleared: int = 0  # papers that ``None`` removed

    def nominate(self, nomination: Nomination, latest: Sequence[Paper]) -> tuple[int, ...]:
        """Apply one block; the ids that the latest result list does not have are returned, and have no effect."""
        if nomination.state == "none":
            self.cleared += len(self.accumulated)
            self.accumulated, self.last, self.state = [], (), "none"
            return ()
        named = tuple(latest[i] for i in nomination.ids if i < len(latest))
        if named:
            known = {paper.key for paper in self.accumulated}
            fresh = {paper.key: paper for paper in named if paper.key not in known}
            self.accumulated.extend(fresh.values())
            self.last, self.state = named, "ids"
        return tuple(i for i in nomination.ids if i >= len(latest))

    @property
    def nominee(self) -> Paper | None:
        """The final nomination for a Deep question: the first paper of the latest block that named any."""
        return self.last[0] if self.last else None
