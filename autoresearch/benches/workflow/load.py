"""Read a folder of task folders into cases. A case carries all that an attempt and its grading need."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.workflow.bounded_yaml import Document, read_yaml
from autoresearch.benches.workflow.checks import FileUnchanged, Row
from autoresearch.benches.workflow.database import SqlError, build, parameters_of, problem_of
from autoresearch.benches.workflow.task import Task, cross_problems
from autoresearch.benches.workflow.workspace import MAX_FILE_BYTES, MAX_FILES
from autoresearch.errors import CorpusError
from autoresearch.storage.files import open_regular

SUITE = "workflow"
TASK_NAME = "task.yaml"
MAX_TASKS = 2000
MAX_WORKSPACE_BYTES = 8 << 20
BUILTIN = Path(__file__).with_name("tasks")
OTHER_TYPE = {"string_type", "int_type", "float_type", "bool_type", "dict_type", "tuple_type", "none_required"}
_LAYOUT = f"a folder of task folders, each with a {TASK_NAME}: docs/benches.md, section Suite workflow"


def load_cases(source: Path) -> CaseSet:
    """The tasks below ``source``, or those of the package where it is named "builtin" and does not exist."""
    if str(source) == "builtin" and not source.exists():
        source = BUILTIN
    return CaseSet(SUITE, tuple(read_case(folder) for folder in task_folders(source)))


def task_folders(source: Path) -> list[Path]:
    """The task folders of ``source``: itself, its folders, or those of its folders. Raises ``CorpusError``."""
    if not source.is_dir():
        raise CorpusError(f"{source} is not a directory", hint=_LAYOUT)
    folders = list(_task_folders(source, levels=2))
    if not folders:
        raise CorpusError(f"{source} has no task", hint=_LAYOUT)
    if len(folders) > MAX_TASKS:
        raise CorpusError(f"{source} has {len(folders):,} tasks, more than {MAX_TASKS:,}", hint="run a part of them")
    return folders


def _task_folders(folder: Path, levels: int) -> list[Path]:
    if (folder / TASK_NAME).exists():
        return [folder]
    below = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))
    if not levels or not below:
        raise CorpusError(f"{folder} has no {TASK_NAME}", hint=_LAYOUT)
    return [found for path in below for found in _task_folders(path, levels - 1)]


def read_case(folder: Path) -> Case:
    """The case of one task folder. Raises ``CorpusError`` that names file, line and field."""
    document = read_yaml(folder / TASK_NAME)
    task = _validated(document)
    files = _workspace_files(task, folder, document)
    for where, what in cross_problems(task):
        raise document.error(where, what)
    _check_sql(task, document)
    for i, check in enumerate(task.checks):
        if isinstance(check, FileUnchanged) and check.path not in files:
            raise document.error(("checks", i, "path"), f"the workspace has no file {check.path!r}")
    plain = task.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return Case(id=task.task_id, suite=SUITE, family=task.family, payload={"task": plain, "files": files})


def task_of(case: Case) -> Task:
    """The task of a case."""
    return Task.model_validate_json(json.dumps(case.payload["task"]))


def files_of(case: Case) -> dict[str, bytes]:
    """The files of the workspace as the task gives them, by path."""
    files: Mapping[str, Any] = case.payload["files"]
    return {
        path: base64.b64decode(content["base64"]) if "base64" in content else content["text"].encode()
        for path, content in files.items()
    }


def _validated(document: Document) -> Task:
    try:
        return Task.model_validate_json(json.dumps(document.value, allow_nan=False))
    except ValidationError as e:
        places = [(_place(document.value, error), error) for error in e.errors(include_url=False)]
        where = places[0][0]
        # Of the alternatives of a field those of another type say the least.
        alternatives = (item for item in places if item[0][: len(where)] == where and item[1]["type"] not in OTHER_TYPE)
        where, first = next(alternatives, places[0])
        given = first.get("input")
        value = f" ({ascii(given)[:80]})" if isinstance(given, str | int | float | bool) else ""
        raise document.error(where, f"{first['msg'].removeprefix('Value error, ')}{value}") from e
    except ValueError as e:
        raise document.error((), str(e)) from e


def _place(value: Any, error: ErrorDetails) -> tuple[str | int, ...]:
    """The field of the document; pydantic's names of alternatives and of their types are not part of it."""
    place: list[str | int] = []
    for part in error["loc"]:
        items = dict(enumerate(value)) if isinstance(value, list) else value if isinstance(value, dict) else {}
        if part in items:
            value = items[part]
            place.append(part)
    return (*place, error["loc"][-1]) if error["type"] == "missing" else tuple(place)


def _workspace_files(task: Task, folder: Path, document: Document) -> dict[str, dict[str, str]]:
    match task.workspace:
        case None:
            return {}
        case str():
            root = folder / task.workspace
            if not root.is_dir():
                raise document.error(("workspace",), f"{task.workspace!r} is not a folder beside {TASK_NAME}")
            return _files_below(root)
        case files:
            return {path: {"text": text} for path, text in sorted(files.items())}


def _files_below(root: Path) -> dict[str, dict[str, str]]:
    files: dict[str, dict[str, str]] = {}
    total = 0
    for parent, folders, names in os.walk(root):
        folders.sort()
        for name in sorted((*names, *(f for f in folders if (Path(parent) / f).is_symlink()))):
            path = Path(parent) / name
            if len(files) >= MAX_FILES:
                raise CorpusError(f"{root} has more than {MAX_FILES:,} files", hint="a task needs fewer")
            data = _read_plain(path)
            total += len(data)
            if total > MAX_WORKSPACE_BYTES:
                raise CorpusError(f"{root} has more than {MAX_WORKSPACE_BYTES:,} bytes", hint="a task needs fewer")
            files[path.relative_to(root).as_posix()] = _as_json(data)
    return files


def _read_plain(path: Path) -> bytes:
    if not stat.S_ISREG(path.lstat().st_mode):
        raise CorpusError(f"{path} is not a regular file", hint="a workspace has plain files and directories only")
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as e:
        raise CorpusError(f"{path} cannot be read: {e.strerror}", hint="check its permissions") from e
    if len(data) > MAX_FILE_BYTES:
        raise CorpusError(f"{path} is larger than {MAX_FILE_BYTES:,} bytes", hint="a workspace file must be smaller")
    return data


def _as_json(data: bytes) -> dict[str, str]:
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _check_sql(task: Task, document: Document) -> None:
    """Build each database in memory and compile each statement, so that a mistake of the task shows at once."""
    databases: dict[str, sqlite3.Connection] = {}
    try:
        for i, service in enumerate(task.services):
            try:
                databases[service.name] = build(service, ":memory:")
            except SqlError as e:
                raise document.error(("services", i, "schema"), f"schema and rows: {e}") from e
            for j, endpoint in enumerate(service.endpoints):
                where = ("services", i, "endpoints", j)
                if problem := problem_of(databases[service.name], endpoint.sql, writes=True):
                    raise document.error((*where, "sql"), problem)
                names = {*endpoint.path_parameters, *parameters_of(endpoint.sql)}
                if extra := sorted({*endpoint.types, *endpoint.optional} - names):
                    raise document.error(where, f"{extra[0]!r} is neither in path nor in sql")
        for i, check in enumerate(task.checks):
            if isinstance(check, Row):
                name = check.service or task.services[0].name
                problem = problem_of(databases[name], check.sql, writes=False)
                if parameters_of(check.sql):
                    problem = "a check has no parameters"
                if problem:
                    raise document.error(("checks", i, "sql"), problem)
    finally:
        for connection in databases.values():
            connection.close()
