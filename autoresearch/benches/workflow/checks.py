"""The checks of a task, as its file states them. ``grading.py`` computes them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from autoresearch.core.values import FrozenModel, Positive

MAX_PATTERN = 1000


def _relative(path: str) -> str:
    parts = path.split("/")
    if not path or path.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\0" in path:
        raise ValueError(f"{path!r} is not a path inside the workspace, for example reports/march.md")
    return path


def _compiles(pattern: str) -> str:
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"the pattern has {len(pattern):,} characters, more than {MAX_PATTERN:,}")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as e:
        raise ValueError(f"{pattern!r} is not a regular expression: {e}") from e
    return pattern


RelativePath = Annotated[str, AfterValidator(_relative)]
Pattern = Annotated[str, AfterValidator(_compiles)]
Scalar = str | int | float | bool | None
Count = Annotated[int, Field(ge=0)]


class _Check(FrozenModel):
    """``name`` is how results refer to it; ``weight`` is its share of the score."""

    name: str = ""
    weight: Positive = 1.0


class FileExists(_Check):
    """A regular file is at ``path`` of the workspace."""

    type: Literal["file_exists"]
    path: RelativePath


class FileNotExists(_Check):
    """Nothing is at ``path``, neither a file nor a directory nor a link."""

    type: Literal["file_not_exists"]
    path: RelativePath


class FileContains(_Check):
    """The file contains ``text``, exactly as written; ``absent``: it exists and does not contain it."""

    type: Literal["file_contents_contain"]
    path: RelativePath
    text: Annotated[str, Field(min_length=1)]
    absent: bool = False


class FileMatches(_Check):
    """``pattern`` is found in the file (Python's ``re.search``, MULTILINE)."""

    type: Literal["file_contents_match_regex"]
    path: RelativePath
    pattern: Pattern


class FileUnchanged(_Check):
    """The file has the bytes that the task gave it."""

    type: Literal["file_unchanged"]
    path: RelativePath


class Row(_Check):
    """``sql``, a query of the service's database after the attempt, gives ``equals``.

    A scalar: one row of one column. A list of scalars: one row. A list of lists: these rows, in order. ``[]``: none.
    """

    type: Literal["row"]
    service: str = ""  # may be left out where the task has one service
    sql: str
    equals: Scalar | tuple[Scalar | tuple[Scalar, ...], ...]


class Called(_Check):
    """Requests to the endpoint of tool ``endpoint`` that succeeded (2xx), and whose parameters include ``body``."""

    type: Literal["called"]
    endpoint: str
    min: Count = 1
    max: Count | None = None
    body: dict[str, Any] = Field(default_factory=dict)


class NotCalled(_Check):
    """No request to this endpoint whose parameters include ``body``, whether it succeeded or not."""

    type: Literal["not_called"]
    endpoint: str
    body: dict[str, Any] = Field(default_factory=dict)


class Says(_Check):
    """``pattern`` is found in the final answer (``re.search``, IGNORECASE); ``absent``: it is not."""

    type: Literal["says"]
    pattern: Pattern
    absent: bool = False


Check = Annotated[
    FileExists | FileNotExists | FileContains | FileMatches | FileUnchanged | Row | Called | NotCalled | Says,
    Field(discriminator="type"),
]
