"""A case, and a set of cases with its hash."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from autoresearch.core.values import FrozenModel, sha256_of
from autoresearch.errors import CorpusError


class Case(FrozenModel):
    """One case of a suite. ``payload`` is the suite's own, as plain JSON; it includes what the grader needs."""

    id: str
    suite: str
    family: str = ""
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CaseSet:
    """Cases in the order of their file, each with its own id."""

    suite: str
    cases: tuple[Case, ...]

    def __post_init__(self) -> None:
        """Raise ``CorpusError`` where the set is empty or an id occurs twice."""
        if not self.cases:
            raise CorpusError("no case found", hint="docs/benches.md describes the format of each suite's cases")
        twice = [i for i, n in Counter(case.id for case in self.cases).items() if n > 1]
        if twice:
            raise CorpusError(f"the id {twice[0]!r} occurs more than once", hint="give each case an id of its own")

    @property
    def sha256(self) -> str:
        """The hash of all cases, independent of their order."""
        return sha256_of({case.id: case.model_dump(mode="json") for case in self.cases})
