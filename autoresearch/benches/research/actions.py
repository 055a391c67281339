"""What an answer of the model means: searches to run, an end, or an error that the model is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from autoresearch.benches.research.call_values import ParsedCalls
from autoresearch.benches.research.candidates import Candidates, read_nominations, says_done
from autoresearch.benches.research.papers import Paper
from autoresearch.benches.research.prompt import MAX_QUERY_CHARS, MAX_TOP_K, NO_ACTION, TOOL
from autoresearch.benches.research.tool_calls import describe_errors

MAX_RECORDED, MAX_WORD_CHARS = 50, 100  # of candidates that had no effect


@dataclass(frozen=True, slots=True)
class Query:
    """One search."""

    text: str
    top_k: int


@dataclass(frozen=True, slots=True)
class Action:
    """``kind`` and ``content`` are upstream's ``action`` and ``action_content``; ``error`` is for the model."""

    kind: Literal["tool", "finish", "error"]
    content: Any
    queries: tuple[Query, ...] = ()
    error: str = ""

    def with_error(self, error: str) -> Action:
        """The same with one more error; an empty one changes nothing."""
        return replace(self, error="; ".join(part for part in (self.error, error) if part))


class BadQuery(ValueError):
    """Why a call that could be read cannot be run."""


def decide_action(parsed: ParsedCalls, top_k: int) -> Action:
    """The action of an answer. The end signal wins over a call, as upstream has it; candidates alone are an end, too.

    Calls that can be run are run, and the model is told about the others. ``top_k``: where a call gives none.
    """
    has_end = says_done(parsed.text)
    is_silent = not parsed.calls and not parsed.errors
    if has_end or (is_silent and any(n.state != "empty" for n in read_nominations(parsed.text))):
        return Action("finish", "Done")
    problems = [describe_errors(parsed.errors)] if parsed.errors else []
    queries: list[Query] = []
    for call in parsed.calls:
        try:
            queries.append(_query(call.name, call.arguments, top_k))
        except BadQuery as e:
            problems.append(str(e))
    error = "; ".join(problems)
    if queries:
        calls = [{"name": call.name, "arguments": dict(call.arguments)} for call in parsed.calls]
        return Action("tool", calls[0] if len(calls) == 1 else {"calls": calls}, tuple(queries), error)
    return Action("error", error or NO_ACTION, error=error or NO_ACTION)


def _query(name: str, arguments: Mapping[str, Any], default_k: int) -> Query:
    query, top_k = arguments.get("query"), arguments.get("top_k")
    if name != TOOL:
        raise BadQuery(f"there is no tool {name[:80]!r}; the only tool is {TOOL}")
    if not isinstance(query, str) or not query.strip():
        raise BadQuery(f'{TOOL} needs "query", a text that is not empty')
    if len(query) > MAX_QUERY_CHARS:
        raise BadQuery(f"query has {len(query)} characters; at most {MAX_QUERY_CHARS} are allowed")
    if top_k is None:
        top_k = default_k
    if type(top_k) is not int or not 1 <= top_k <= MAX_TOP_K:
        raise BadQuery(f"top_k must be a whole number from 1 to {MAX_TOP_K}")
    if extra := sorted(arguments.keys() - {"query", "top_k"}):
        raise BadQuery(f"{TOOL} has no parameter {extra[0][:80]!r}")
    return Query(query, top_k)


@dataclass(frozen=True, slots=True)
class Nominated:
    """What had no effect among the candidates of an answer; ``results``: how many the latest list has."""

    unknown: tuple[int, ...]
    unreadable: tuple[str, ...]
    results: int

    def record(self) -> dict[str, Any]:
        """For the turn's record, the first of each; empty where all was well."""
        unreadable = [word[:MAX_WORD_CHARS] for word in self.unreadable[:MAX_RECORDED]]
        unknown = {"candidates_unknown": list(self.unknown[:MAX_RECORDED])} if self.unknown else {}
        return unknown | ({"candidates_unreadable": unreadable} if unreadable else {})

    def note(self) -> str:
        """For the model; empty where all was well."""
        parts = []
        if self.unknown:
            ids = ", ".join(map(str, self.unknown[:5]))
            known = f"whose ids are 0 to {self.results - 1}" if self.results else "which is empty"
            parts.append(f"The candidates {ids} are not in the latest list, {known}: they were not added.")
        if self.unreadable:
            words = ", ".join(repr(word[:40]) for word in self.unreadable[:3])
            parts.append(f"Candidates are named by their paper_id: {words} was not added.")
        return " ".join(parts)


def nominate(candidates: Candidates, parsed: ParsedCalls, latest: tuple[Paper, ...]) -> Nominated:
    """Apply the candidates that an answer names."""
    unknown: list[int] = []
    unreadable: list[str] = []
    for nomination in read_nominations(parsed.text):
        unknown += candidates.nominate(nomination, latest)
        unreadable += nomination.unreadable
    return Nominated(tuple(unknown), tuple(unreadable), len(latest))
