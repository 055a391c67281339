"""Cases of suite R: one question a line with its papers, in the format of AutoResearchBench (arXiv 2604.25256)."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.jsonl import read_objects, shown
from autoresearch.benches.research.papers import Paper, normalise_id, same_paper
from autoresearch.errors import CorpusError

SUITE = "research"
Kind = Literal["deep", "wide"]
KINDS: tuple[Kind, ...] = ("deep", "wide")
FORMAT = 'a line is {"question": text, "answer": [titles], "arxiv_id": id (Deep) or [ids] (Wide)}: see docs/benches.md'
DECRYPT = "this is the published bundle: run decrypt_benchmark.py of AutoResearchBench first, and name its .jsonl"


class BadCase(ValueError):
    """A line that is not a case; the message names the field and the value."""


def load_cases(source: Path) -> CaseSet:
    """Read a JSON Lines file of cases. Raises ``CorpusError`` with file, line and field."""
    lines: list[tuple[str, dict[str, Any]]] = []
    for number, line in read_objects(source, FORMAT):
        if "ciphertext" in line:
            raise CorpusError(f"{source}: line {number} is encrypted", hint=DECRYPT)
        lines.append((f"line {number}", line))
    return build_cases(source, lines)


def build_cases(source: Path | str, lines: Sequence[tuple[str, Mapping[str, Any]]]) -> CaseSet:
    """Cases from the lines of ``source`` with their places in it, in order. Raises ``CorpusError``."""
    payloads: list[dict[str, Any]] = []
    for place, line in lines:
        try:
            payloads.append(parse_case(line))
        except BadCase as e:
            raise CorpusError(f"{source}: {place}: {e}", hint=FORMAT) from e
    _refuse_repeats(source, [place for place, _ in lines], payloads)
    cases = [
        Case(id=name, suite=SUITE, family=payload["type"], payload=payload)
        for name, payload in zip(case_ids(payloads), payloads, strict=True)
    ]
    try:
        return CaseSet(SUITE, tuple(cases))
    except CorpusError as e:
        raise CorpusError(f"{source}: {e.what}", hint=e.hint) from e


def question_hash(question: str) -> str:
    """The SHA-256 of a question, without the spaces around it."""
    return hashlib.sha256(question.strip().encode()).hexdigest()


def case_ids(payloads: Sequence[Mapping[str, Any]]) -> list[str]:
    """The id of each case, which joins runs: a Deep case's paper, a Wide case's SHA-256 of the question.

    Where several Deep questions of a set ask for one paper, eight digits of that hash are added to it.
    """
    papers = [_deep_id(payload) for payload in payloads]
    ids = []
    for paper, payload in zip(papers, payloads, strict=True):
        digest = question_hash(payload["question"])
        ids.append(digest if paper is None else paper if papers.count(paper) == 1 else f"{paper}#{digest[:8]}")
    return ids


def _deep_id(payload: Mapping[str, Any]) -> str | None:
    gold = payload["gold"]
    return gold[0]["id"] or None if payload["type"] == "deep" and len(gold) == 1 else None


def _refuse_repeats(source: Path | str, places: Sequence[str], payloads: Iterable[Mapping[str, Any]]) -> None:
    seen: defaultdict[str, list[str]] = defaultdict(list)
    for place, payload in zip(places, payloads, strict=True):
        seen[question_hash(payload["question"])].append(place)
    for found in seen.values():
        if len(found) > 1:
            raise CorpusError(
                f"{source}: {found[1]} asks the question of {found[0]} again", hint="give each question once"
            )


def parse_case(line: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of one line: ``question``, ``type``, ``gold`` (papers with id and title), and the line as ``input``.

    Raises ``BadCase``.
    """
    question = line.get("question")
    if not isinstance(question, str) or not question.strip():
        raise BadCase(f"question: a text is expected, not {shown(question)}")
    kind = _kind(line)
    titles = _titles(line.get("answer", []))
    ids = _ids(line.get("arxiv_id"))
    gold = _deep_gold(ids, titles) if kind == "deep" else _wide_gold(ids, titles)
    papers = [{"id": paper.id, "title": paper.title} for paper in gold]
    return {"question": question, "type": kind, "gold": papers, "input": dict(line)}


def gold_papers(case: Case) -> tuple[Paper, ...]:
    """The papers that answer a case; none, where the right answer is that there is none."""
    return tuple(Paper(paper["id"], paper["title"]) for paper in case.payload["gold"])


def _kind(line: Mapping[str, Any]) -> Kind:
    raw = line.get("arxiv_id")
    inferred: Kind | None = "deep" if isinstance(raw, str) else "wide" if isinstance(raw, list) else None
    given = line.get("type")
    if given is None:
        if inferred is None:
            raise BadCase(f"arxiv_id: a text (Deep) or a list of texts (Wide) is expected, not {shown(raw)}")
        return inferred
    named = next((kind for kind in KINDS if isinstance(given, str) and given.strip().lower() == kind), None)
    if named is None:
        raise BadCase(f"type: {shown(given)} is not deep or wide")
    if inferred not in (None, named):
        other = "a list of ids, which is Wide" if inferred == "wide" else "one id, which is Deep"
        raise BadCase(f"type is {named}, but arxiv_id is {other}")
    return named


def _titles(raw: object) -> list[str]:
    titles = [raw] if isinstance(raw, str) else [] if raw is None else raw
    if not isinstance(titles, list) or not all(isinstance(title, str) for title in titles):
        raise BadCase(f"answer: a list of titles is expected, not {shown(raw)}")
    return [title.strip() for title in titles]


def _ids(raw: object) -> list[str]:
    ids: list[Any] = [] if raw is None else raw if isinstance(raw, list) else [raw]
    for value in ids:
        if not isinstance(value, str):
            why = ": a number loses its last zeros, write it as text" if isinstance(value, (int, float)) else ""
            raise BadCase(f"arxiv_id: {shown(value)} is not a text{why}")
    return [normalise_id(value) for value in ids]


def _is_none(titles: Sequence[str]) -> bool:
    """Whether the titles say that there is no such paper, as upstream's grader reads them."""
    named = [title for title in titles if title]
    return all(title.lower() == "none" for title in named)


def _deep_gold(ids: Sequence[str], titles: Sequence[str]) -> list[Paper]:
    named = [title for title in titles if title]
    identity = ids[0] if ids else ""
    if not identity and len(named) > 1:
        raise BadCase(f"answer: a Deep question without an arxiv_id has one title, not {len(named)}")
    if not identity and _is_none(titles):
        return []
    return [Paper(identity, "" if _is_none(titles) else named[0])]  # further titles name the same paper


def _wide_gold(ids: Sequence[str], titles: Sequence[str]) -> list[Paper]:
    """Ids and titles belong together where there are equally many; else the ids alone are the papers."""
    if not ids:
        papers = [] if _is_none(titles) else [Paper("", title) for title in titles if title]
    elif len(ids) == len(titles):
        papers = [Paper(identity, title) for identity, title in zip(ids, titles, strict=True)]
    else:
        papers = [Paper(identity) for identity in ids]
    if any(not paper.id and not paper.title for paper in papers):
        raise BadCase("arxiv_id: an empty id, and no title that belongs to it")
    distinct: list[Paper] = []
    for paper in papers:
        if not any(same_paper(paper, known) for known in distinct):
            distinct.append(paper)
    return distinct
