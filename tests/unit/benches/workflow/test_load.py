"""Task folders: what is read, and what is refused with file, line and field."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.workflow.load import BUILTIN, files_of, load_cases, read_case, task_folders, task_of
from autoresearch.benches.workflow.suite import WorkflowSuite
from autoresearch.benches.workflow.workspace import MAX_FILES
from autoresearch.errors import CorpusError
from tests.unit.benches.workflow.tasks import make_case, service, using, write_task


def test_a_task_is_read_with_its_workspace(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "t", workspace="files", checks=[{"type": "file_unchanged", "path": "sub/x"}])
    (folder / "files/sub").mkdir(parents=True)
    (folder / "files/sub/x").write_bytes(b"\xff\x00")
    (folder / "files/a b.txt").write_text("grün\n")
    case = read_case(folder)
    assert (case.id, case.family, case.suite) == ("t1", "tests", "workflow")
    assert files_of(case) == {"a b.txt": "grün\n".encode(), "sub/x": b"\xff\x00"}
    assert task_of(case).prompt.text == "Note that Ana was called."


def test_the_hash_covers_the_files_of_the_workspace(tmp_path: Path) -> None:
    write_task(tmp_path / "t")
    before = load_cases(tmp_path).sha256
    write_task(tmp_path / "t", workspace={"a.txt": "alpha\n", "sub/b.txt": "BETA\n"})
    assert load_cases(tmp_path).sha256 != before


def test_folders_of_tasks_may_be_grouped_and_hidden_ones_are_left_out(tmp_path: Path) -> None:
    write_task(tmp_path / "hr/one", task_id="one")
    write_task(tmp_path / "two", task_id="two")
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.md").write_text("about")
    assert [f.name for f in task_folders(tmp_path)] == ["one", "two"]
    assert [case.id for case in load_cases(tmp_path / "two").cases] == ["two"]


def test_a_folder_without_a_task_is_named(tmp_path: Path) -> None:
    write_task(tmp_path / "one")
    (tmp_path / "two").mkdir()
    with pytest.raises(CorpusError, match=r"two has no task\.yaml"):
        load_cases(tmp_path)
    for source in (tmp_path / "two", tmp_path / "missing", tmp_path / "one/task.yaml"):
        with pytest.raises(CorpusError):
            load_cases(source)


def test_an_id_occurs_once(tmp_path: Path) -> None:
    write_task(tmp_path / "one")
    write_task(tmp_path / "two")
    with pytest.raises(CorpusError, match="'t1' occurs more than once"):
        load_cases(tmp_path)


def test_builtin_names_the_tasks_of_the_package() -> None:
    assert [case.id for case in WorkflowSuite().load(Path("builtin")).cases] == [f.name for f in task_folders(BUILTIN)]


ENDPOINT = {"tool": "x", "method": "GET", "path": "/x", "sql": "SELECT 1"}
BAD: list[tuple[dict[str, Any], str]] = [
    ({"task_id": None}, "task_id: Field required"),
    ({"task_id": "../x"}, "task_id: String should match"),
    ({"family": 7}, "family: Input should be a valid string (7)"),
    ({"family": ""}, "family: String should have at least 1"),
    ({"surplus": 1}, "surplus: Extra inputs"),
    ({"prompt": {"text": ""}}, "prompt.text"),
    ({"prompt": "do it"}, "prompt: Input should be"),
    ({"tools": []}, "tools"),
    ({"tools": ["read_file", "read_file"]}, "tools: the tool name 'read_file' occurs 2 times"),
    ({"tools": ["rm"]}, "tools.0: 'rm' is neither an endpoint's tool nor one of list_files"),
    ({"limits": {"max_turns": 0}}, "limits.max_turns"),
    ({"limits": {"timeout_s": float("inf")}}, "limits.timeout_s"),
    ({"limits": {"max_turns": True}}, "limits.max_turns"),
    ({"pass_threshold": 0}, "pass_threshold"),
    ({"pass_threshold": 1.01}, "pass_threshold"),
    ({"judge": {"rubric": "x", "weight": 2}}, "judge.weight"),
    ({"workspace": "../files"}, "workspace"),
    ({"workspace": "/etc"}, "workspace"),
    ({"workspace": "missing"}, "workspace: 'missing' is not a folder beside task.yaml"),
    ({"workspace": {"../x": "y"}}, "workspace"),
    ({"checks": []}, "checks"),
    ({"checks": [{"type": "magic"}]}, "checks.0"),
    ({"checks": [{"type": "says", "pattern": "("}]}, "checks.0.pattern: '(' is not a regular"),
    ({"checks": [{"type": "says", "pattern": "a" * 1001}]}, "more than 1,000"),
    ({"checks": [{"type": "says", "pattern": "a", "weight": 0}]}, "checks.0.weight"),
    ({"checks": [{"type": "file_exists", "path": "a/../../b"}]}, "checks.0.path"),
    ({"checks": [{"type": "file_unchanged", "path": "new.txt"}]}, "checks.0.path: the workspace has no file 'new.txt'"),
    ({"checks": [{"type": "called", "endpoint": "nope"}]}, "checks.0.endpoint: 'nope' is not the tool of an endpoint"),
    ({"checks": [{"type": "called", "endpoint": "set_note", "min": 2, "max": 1}]}, "checks.0.max: 1 is less than min"),
    ({"checks": [{"type": "row", "sql": "SELEC 1", "equals": 1}]}, 'checks.0.sql: near "SELEC": syntax error'),
    ({"checks": [{"type": "row", "sql": "SELECT 1 FROM nope", "equals": 1}]}, "checks.0.sql: no such table: nope"),
    ({"checks": [{"type": "row", "sql": "DELETE FROM people", "equals": 1}]}, "checks.0.sql: it is not a query"),
    ({"checks": [{"type": "row", "sql": "DROP TABLE people", "equals": 1}]}, "checks.0.sql: it is not a query"),
    ({"workspace": {"../a.txt": "x"}}, "workspace.../a.txt: '../a.txt' is not a path inside the workspace"),
    ({"checks": [{"type": "row", "sql": "SELECT 1", "equals": {"a": 1}}]}, "checks.0.equals: "),
    ({"checks": [{"type": "row", "sql": "SELECT 1"}]}, "checks.0.equals: Field required"),
    ({"checks": [{"type": "row", "sql": "SELECT :x", "equals": 1}]}, "checks.0.sql: a check has no parameters"),
    ({"checks": [{"type": "row", "service": "x", "sql": "SELECT 1", "equals": 1}]}, "checks.0.service: 'x' is not"),
    ({"checks": [{"type": "says", "pattern": p, "name": "n"} for p in "ab"]}, "the check name 'n' occurs 2 times"),
    ({"services": [service(), service()]}, "the service name 'crm' occurs 2 times"),
    ({"services": [service(schema="CREATE TABEL x")]}, "services.0.schema: schema and rows: near"),
    ({"services": [service(schema="ATTACH 'x.db' AS x")]}, "services.0.schema: schema and rows: not authorized"),
    ({"services": [service(rows={"people": [{"id": 1, "nope": 2}]})]}, "no column named nope"),
    ({"services": [service(rows={"people": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]})]}, "UNIQUE constraint"),
    ({"services": [service(rows={"people": [{"id": [1]}]})]}, "services.0.rows.people.0.id"),
    ({"services": [service(endpoints=[])]}, "services.0.endpoints"),
    ({"services": [service(endpoints=[{**ENDPOINT, "sql": "SELECT nope FROM people"}])]}, "no such column: nope"),
    ({"services": [service(endpoints=[{**ENDPOINT, "sql": "SELECT 1; DROP TABLE people"}])]}, "one statement"),
    ({"services": [service(endpoints=[{**ENDPOINT, "sql": "SELECT ?"}])]}, "services.0.endpoints.0.sql"),
    ({"services": [service(endpoints=[{**ENDPOINT, "path": "x"}])]}, "services.0.endpoints.0.path"),
    ({"services": [service(endpoints=[{**ENDPOINT, "path": "/a/{id}/{id}"}])]}, "the parameter name 'id' occurs 2"),
    ({"services": [service(endpoints=[{**ENDPOINT, "method": "TRACE"}])]}, "services.0.endpoints.0.method"),
    ({"services": [service(endpoints=[{**ENDPOINT, "optional": ["z"]}])]}, "'z' is neither in path nor in sql"),
    ({"services": [service(endpoints=[ENDPOINT, {**ENDPOINT, "tool": "y"}])]}, "the endpoint name 'GET /x' occurs 2"),
    ({"services": [service(endpoints=[{**ENDPOINT, "tool": "shell"}])]}, "the tool name 'shell' occurs 2 times"),
    ({"services": [service(faults=[{"rate": 0.5}])]}, "services.0.faults.0: a fault needs status"),
    ({"services": [service(faults=[{"tool": "x", "status": 503}])]}, "services.0.faults.0.tool: 'x' is not a tool"),
    ({"services": [service(faults=[{"status": 404}])]}, "services.0.faults.0.status"),
    ({"services": [service(faults=[{"delay_s": 1e9}])]}, "services.0.faults.0.delay_s"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "what"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_a_bad_task_is_refused_with_file_line_and_field(tmp_path: Path, changes: dict[str, Any], what: str) -> None:
    if "services" in changes:  # of which nothing else may speak then
        changes = {"tools": ["read_file"], "checks": [{"type": "says", "pattern": "x"}], **changes}
    with pytest.raises(CorpusError) as error:
        make_case(tmp_path / "t", **changes)
    assert what in str(error.value)
    assert "task.yaml, line " in str(error.value)


def test_a_workspace_as_large_as_it_may_be_is_set_up(tmp_path: Path) -> None:
    files = {f"d{i % 10}/f{i}": "x" for i in range(MAX_FILES)}
    case = make_case(tmp_path / "t", workspace=files)
    with using(case, tmp_path / "a") as tools:
        assert tools.workspace.usage().entries == MAX_FILES + 10
        assert "written_bytes" in tools.use("write_file", {"path": "new", "content": "x"})
    folder = write_task(tmp_path / "more", workspace="files")
    (folder / "files").mkdir()
    for i in range(MAX_FILES + 1):
        (folder / f"files/f{i}").touch()
    with pytest.raises(CorpusError, match="more than 1,000 files"):
        read_case(folder)


def test_a_link_a_pipe_and_a_large_file_in_a_workspace_are_refused(tmp_path: Path) -> None:
    for name, make in (
        ("link", lambda p: p.symlink_to("/etc/passwd")),
        ("folder", lambda p: p.symlink_to("/etc")),
        ("pipe", lambda p: os.mkfifo(p)),
        ("large", lambda p: p.write_bytes(bytes((1 << 20) + 1))),
    ):
        folder = write_task(tmp_path / name, workspace="files")
        (folder / "files").mkdir()
        make(folder / "files" / name)
        with pytest.raises(CorpusError, match=name):
            read_case(folder)
