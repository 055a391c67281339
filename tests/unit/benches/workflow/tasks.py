"""A small task for tests, and how to set it up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from autoresearch.benches.cases import Case
from autoresearch.benches.workflow.attempt import prepared
from autoresearch.benches.workflow.grading import CheckResult, grade_checks
from autoresearch.benches.workflow.load import files_of, read_case, task_of
from autoresearch.benches.workflow.sandbox.shell import LandlockShell
from autoresearch.benches.workflow.toolbox import Toolbox

SERVICE: dict[str, Any] = {
    "name": "crm",
    "schema": "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER, note TEXT);",
    "rows": {"people": [{"id": 1, "name": "Ana", "age": 30}, {"id": 2, "name": "Bo", "age": 41}]},
    "endpoints": [
        {"tool": "list_people", "method": "GET", "path": "/people", "sql": "SELECT * FROM people ORDER BY id"},
        {
            "tool": "find_people",
            "method": "GET",
            "path": "/search",
            "sql": "SELECT id FROM people WHERE name = :name AND (:age IS NULL OR age = :age)",
            "types": {"age": "integer"},
            "optional": ["age"],
        },
        {
            "tool": "set_note",
            "method": "PATCH",
            "path": "/people/{id}",
            "sql": "UPDATE people SET note = :note WHERE id = :id RETURNING id, note",
            "types": {"id": "integer"},
        },
        {
            "tool": "add_person",
            "method": "POST",
            "path": "/people",
            "sql": "INSERT INTO people (name, age) VALUES (:name, :age) RETURNING id",
            "types": {"age": "integer"},
        },
        {"tool": "drop_person", "method": "DELETE", "path": "/people/{id}", "sql": "DELETE FROM people WHERE id = :id"},
    ],
}
TASK: dict[str, Any] = {
    "task_id": "t1",
    "family": "tests",
    "prompt": {"text": "Note that Ana was called."},
    "tools": ["list_people", "find_people", "set_note", "add_person", "drop_person", "read_file", "write_file"],
    "services": [SERVICE],
    "workspace": {"a.txt": "alpha\n", "sub/b.txt": "beta\n"},
    "limits": {"max_turns": 5, "timeout_s": 60},
    "checks": [{"type": "row", "sql": "SELECT note FROM people WHERE id = 1", "equals": "called"}],
}


def write_task(folder: Path, **changes: Any) -> Path:
    """Write the task's folder; a change of ``None`` removes the key."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {key: value for key, value in {**TASK, **changes}.items() if value is not None}
    (folder / "task.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
    return folder


def service(**changes: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(SERVICE)), **changes}


def make_case(folder: Path, **changes: Any) -> Case:
    return read_case(write_task(folder, **changes))


@contextmanager
def using(case: Case, folder: Path, seed: str = "0", **more: Any) -> Iterator[Toolbox]:
    """The tools of a case in ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    shell = LandlockShell() if task_of(case).uses_shell else None
    with prepared(task_of(case), files_of(case), folder, seed, shell=shell, timeout_s=60.0, **more) as tools:
        yield tools


def grade(case: Case, folder: Path, answer: str = "") -> list[CheckResult]:
    return grade_checks(task_of(case), folder, answer, files_of(case))


def outcome(tmp_path: Path, check: Mapping[str, Any], calls: list[tuple[str, dict[str, Any]]], answer: str = "") -> str:
    """Why the one check failed after these calls; empty where it passed."""
    case = make_case(tmp_path / "task", checks=[dict(check)])
    with using(case, tmp_path / "attempt") as tools:
        for name, arguments in calls:
            tools.use(name, arguments)
    (result,) = grade(case, tmp_path / "attempt", answer)
    assert result.passed == (not result.reason)
    return result.reason
