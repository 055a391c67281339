"""Cases of suite N: one question a line with its expected answer and how that is compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, StringConstraints, ValidationError

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.jsonl import read_objects, shown
from autoresearch.benches.samples.grading import MAX_ANSWER_CHARS
from autoresearch.benches.samples.math_verifier import check_installed
from autoresearch.benches.samples.normalisation import choice_letter, plain_text
from autoresearch.core.values import FrozenModel
from autoresearch.errors import CorpusError

SUITE = "samples"
Kind = Literal["math", "mcq", "exact", "judge"]
KINDS: tuple[str, ...] = get_args(Kind)
FORMAT = (
    'a line is {"id": text, "question": text, "expected_answer": text, '
    f'"kind": {"|".join(KINDS)}, "family": text or absent}}: see docs/benches.md'
)
MAX_QUESTION_CHARS = 1_000_000
MAX_CASES = 1_000_000

_Filled = StringConstraints(min_length=1, pattern=r"\S")


class SampleCase(FrozenModel):
    """A line of the case file. ``kind`` says how an answer is compared with the expected one."""

    id: Annotated[str, _Filled, Field(max_length=500)]
    question: Annotated[str, _Filled, Field(max_length=MAX_QUESTION_CHARS)]
    expected_answer: Annotated[str, _Filled, Field(max_length=MAX_QUESTION_CHARS)]
    kind: Kind
    family: Annotated[str, Field(max_length=500)] = ""

    def problem(self) -> str | None:
        """What is wrong with the expected answer for this kind."""
        expected = self.expected_answer
        if self.kind == "mcq" and choice_letter(expected) != expected:
            return f"expected_answer: {shown(expected)} is not one capital letter, which kind mcq needs"
        if self.kind == "math" and len(expected) > MAX_ANSWER_CHARS:
            return f"expected_answer: it has {len(expected):,} characters; kind math compares {MAX_ANSWER_CHARS:,}"
        if self.kind == "exact" and not plain_text(expected):
            return f"expected_answer: {shown(expected)} is empty without its punctuation"
        return None

    def case(self) -> Case:
        """As a case of the bench."""
        payload = self.model_dump(mode="json", exclude={"id", "family"})
        return Case(id=self.id, suite=SUITE, family=self.family, payload=payload)


def load_cases(source: Path) -> CaseSet:
    """Read a JSON Lines file of cases.

    Raises ``CorpusError`` with file, line and field, and ``MissingPackage`` where a case needs math_verify.
    """
    lines: dict[str, int] = {}
    cases: list[Case] = []
    for number, line in read_objects(source, FORMAT):
        read = _parse(line, f"{source}: line {number}")
        if first := lines.get(read.id):
            what = f"{source}: line {number}: id: {shown(read.id)} is the id of line {first} too"
            raise CorpusError(what, hint="give each case an id of its own")
        if len(cases) == MAX_CASES:
            raise CorpusError(f"{source} has more than {MAX_CASES:,} cases", hint="split the file")
        lines[read.id] = number
        cases.append(read.case())
    if not cases:
        raise CorpusError(f"{source} has no case", hint=FORMAT)
    if any(case.payload["kind"] == "math" for case in cases):
        check_installed()
    return CaseSet(SUITE, tuple(cases))


def _parse(line: dict[str, Any], where: str) -> SampleCase:
    try:
        read = SampleCase.model_validate(line)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "the line"
        value = "" if first["type"] == "missing" else f", not {shown(first['input'])}"
        raise CorpusError(f"{where}: {shown(field)[1:-1]}: {first['msg'].lower()}{value}", hint=FORMAT) from e
    if problem := read.problem():
        raise CorpusError(f"{where}: {problem}", hint=FORMAT)
    return read
