"""Compute the checks of a task from what an attempt left: workspace, databases, audit log, final answer."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_never

from autoresearch.benches.workflow.audit import AUDIT_NAME, AuditDamaged, AuditRecord, read_audit
from autoresearch.benches.workflow.backend import database_name
from autoresearch.benches.workflow.bounded_regex import RegexTooSlow, search
from autoresearch.benches.workflow.checks import (
    Called,
    Check,
    FileContains,
    FileExists,
    FileMatches,
    FileNotExists,
    FileUnchanged,
    NotCalled,
    Row,
    Says,
)
from autoresearch.benches.workflow.database import DatabaseDamaged, SqlError, execute, opened_for_reading
from autoresearch.benches.workflow.task import Task
from autoresearch.benches.workflow.workspace import MAX_READ_BYTES, Workspace, WorkspaceError

WORKSPACE = "workspace"  # its folder in the folder of an attempt
MAX_SHOWN = 200


class Ungradable(Exception):
    """What the attempt left is missing or damaged: there is no score."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """``reason`` says what was found where the check failed."""

    name: str
    type: str
    passed: bool
    weight: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """What an attempt left."""

    task: Task
    folder: Path
    workspace: Workspace
    audit: Sequence[AuditRecord]
    answer: str
    originals: Mapping[str, bytes] = field(default_factory=dict)


def grade_checks(task: Task, folder: Path, answer: str, originals: Mapping[str, bytes]) -> list[CheckResult]:
    """The result of every check, in order. Raises ``Ungradable``."""
    try:
        audit = read_audit(folder / AUDIT_NAME)
        workspace = Workspace(folder / WORKSPACE)
    except (OSError, AuditDamaged) as e:
        raise Ungradable(f"what the attempt left is missing or damaged: {e}") from e
    with workspace:
        left = Left(task, folder, workspace, audit, answer, originals)
        results = []
        for i, check in enumerate(task.checks):
            reason = _failure(check, left)
            results.append(CheckResult(task.check_name(i), check.type, reason is None, check.weight, reason or ""))
    return results


def score_of(results: Sequence[CheckResult]) -> float:
    """The weighted share of the checks that passed."""
    if all(result.passed for result in results):
        return 1.0
    return math.fsum(r.weight for r in results if r.passed) / math.fsum(r.weight for r in results)


def _failure(check: Check, left: Left) -> str | None:
    """Why the check failed, or ``None``."""
    match check:
        case FileExists():
            kind = left.workspace.kind(check.path)
            return None if kind == "file" else f"{check.path} is {_a(kind)}"
        case FileNotExists():
            kind = left.workspace.kind(check.path)
            return None if kind is None else f"{check.path} is {_a(kind)}"
        case FileContains():
            return _contains(check, left)
        case FileMatches():
            return _file_matches(check, left)
        case FileUnchanged():
            data = _data(left, check.path)
            return data if isinstance(data, str) else _same(data, left.originals[check.path], check.path)
        case Row():
            return _row(check, left)
        case Called():
            n = sum(200 <= r.status < 300 and _is_call(r, check.endpoint, check.body) for r in left.audit)
            enough = n >= check.min and (check.max is None or n <= check.max)
            return None if enough else f"{check.endpoint} succeeded {n} times{_with(check.body)}"
        case NotCalled():
            n = sum(_is_call(r, check.endpoint, check.body) for r in left.audit)
            return None if not n else f"{check.endpoint} was called {n} times{_with(check.body)}"
        case Says():
            found = _found(check.pattern, left.answer, re.IGNORECASE)
            if isinstance(found, str):
                return f"the final answer: {found}"
            where = "is" if found else "is not"
            return None if found != check.absent else f"{check.pattern!r} {where} in the final answer"
        case _:
            assert_never(check)


def _data(left: Left, path: str) -> bytes | str:
    """The content of a file, or why there is none."""
    try:
        data, size = left.workspace.read(path)
    except WorkspaceError as e:
        return str(e)
    return data if size <= MAX_READ_BYTES else f"{path} has {size:,} bytes, too many for a check"


def _contains(check: FileContains, left: Left) -> str | None:
    data = _data(left, check.path)
    if isinstance(data, str):
        return data
    found = check.text.encode() in data
    where = "contains" if found else "does not contain"
    return None if found != check.absent else f"{check.path} {where} {_short(check.text)!r}"


def _file_matches(check: FileMatches, left: Left) -> str | None:
    data = _data(left, check.path)
    if isinstance(data, str):
        return data
    try:
        found = _found(check.pattern, data.decode(), re.MULTILINE)
    except UnicodeDecodeError as e:
        return f"{check.path} is not UTF-8 at byte {e.start}"
    if isinstance(found, str):
        return f"{check.path}: {found}"
    return None if found else f"{check.path} does not match {check.pattern!r}"


def _found(pattern: str, text: str, flags: int) -> bool | str:
    try:
        return search(pattern, text, flags)
    except RegexTooSlow as e:
        return str(e)


def _same(data: bytes, original: bytes, path: str) -> str | None:
    return None if data == original else f"{path} was changed"


def _row(check: Row, left: Left) -> str | None:
    path = left.folder / database_name(check.service or left.task.services[0].name)
    try:
        with opened_for_reading(path) as connection:
            _, rows, _ = execute(connection, check.sql, {}, writes=False)
    except DatabaseDamaged as e:
        raise Ungradable(f"{path.name}: {e}") from e
    except SqlError as e:
        return f"the query failed: {e}"
    wanted = _rows(check.equals)
    given = [tuple(row) for row in rows]
    return None if _equal(wanted, given) else f"the query gives {_short(str(given))}, not {_short(str(wanted))}"


def _rows(equals: Any) -> list[tuple[Any, ...]]:
    """``equals`` as rows: a scalar is one row of one column, a list of scalars is one row."""
    if not isinstance(equals, tuple):
        return [(equals,)]
    if any(isinstance(item, tuple) for item in equals):
        return [item if isinstance(item, tuple) else (item,) for item in equals]
    return [equals] if equals else []


def _equal(wanted: Sequence[Sequence[Any]], given: Sequence[Sequence[Any]]) -> bool:
    return len(wanted) == len(given) and all(
        len(a) == len(b) and all(_same_value(x, y) for x, y in zip(a, b, strict=True))
        for a, b in zip(wanted, given, strict=True)
    )


def _same_value(a: Any, b: Any) -> bool:
    if isinstance(a, float) or isinstance(b, float):
        both = isinstance(a, int | float) and isinstance(b, int | float)
        return both and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    return bool(a == b)


def _is_call(record: AuditRecord, endpoint: str, body: Mapping[str, Any]) -> bool:
    parameters = record.request.get("parameters", {})
    return record.endpoint == endpoint and all(
        key in parameters and _same_parameter(value, parameters[key]) for key, value in body.items()
    )


def _same_parameter(wanted: Any, given: Any) -> bool:
    """Equal, or equal once written out: what is in a path or a query string is always a string."""
    if isinstance(wanted, bool | None) or isinstance(given, bool | None):
        return wanted is given or str(wanted).lower() == given
    if _same_value(wanted, given):
        return True
    if isinstance(wanted, str) == isinstance(given, str):
        return False
    text, number = (wanted, given) if isinstance(wanted, str) else (given, wanted)
    try:
        return _same_value(float(text), number)
    except ValueError:
        return False


def _with(body: Mapping[str, Any]) -> str:
    return f" with {_short(str(dict(body)))}" if body else ""


def _a(kind: str | None) -> str:
    words = {None: "missing", "file": "there", "directory": "a directory", "other": "a link or a special file"}
    return words[kind]


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
