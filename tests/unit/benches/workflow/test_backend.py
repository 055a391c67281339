"""What a service does with a request, and what of it is in the audit log. No sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.workflow.audit import AUDIT_NAME, AuditDamaged, AuditLog, read_audit
from autoresearch.benches.workflow.backend import Backend, match_path
from autoresearch.benches.workflow.faults import FaultPlan, fraction
from autoresearch.benches.workflow.load import task_of
from autoresearch.errors import CorpusError
from tests.unit.benches.workflow.tasks import make_case, service


class World:
    """A backend with its audit log, and no time: delays are collected."""

    def __init__(self, folder: Path, seed: str = "0", **changes: Any) -> None:
        self.folder, self.waits = folder, []
        alone = {"tools": ["read_file"], "checks": [{"type": "says", "pattern": "x"}]}
        task = task_of(make_case(folder / "task", services=[service(**changes)], **alone))
        self.audit = AuditLog(folder / AUDIT_NAME)
        self.backend = Backend(task.services, folder, FaultPlan(seed), self.audit)

    def ask(self, method: str, target: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.backend.handle(method, target, data, self.waits.append)

    def records(self) -> list[Any]:
        return list(read_audit(self.folder / AUDIT_NAME))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.backend.close()
    made.audit.close()


def test_a_query_gives_rows(world: World) -> None:
    assert world.ask("GET", "/crm/people")[1]["rows"][0] == {"id": 1, "name": "Ana", "age": 30, "note": None}
    assert world.ask("GET", "/crm/search?name=Bo") == (200, {"rows": [{"id": 2}]})
    assert world.ask("GET", "/crm/search?name=Bo&age=30") == (200, {"rows": []})


def test_a_change_gives_its_count_and_is_kept(world: World) -> None:
    assert world.ask("PATCH", "/crm/people/1", {"note": "called"}) == (
        200,
        {"rows": [{"id": 1, "note": "called"}], "changed": 1},
    )
    assert world.ask("PATCH", "/crm/people/99", {"note": "x"})[1] == {"rows": [], "changed": 0}
    assert world.ask("DELETE", "/crm/people/2") == (200, {"changed": 1})
    assert [row["note"] for row in world.ask("GET", "/crm/people")[1]["rows"]] == ["called"]


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "message"),
    [
        ("GET", "/crm/nothing", None, 404, "no endpoint GET /crm/nothing"),
        ("GET", "/other/people", None, 404, "no endpoint"),
        ("PUT", "/crm/people", {}, 404, "no endpoint PUT"),
        ("GET", "/", None, 404, "no endpoint"),
        ("PATCH", "/crm/people/1", None, 400, "missing parameter 'note'"),
        ("PATCH", "/crm/people/1", {"note": "x", "admin": 1}, 400, "unknown parameter 'admin'"),
        ("PATCH", "/crm/people/one", {"note": "x"}, 400, "'one' is not an integer"),
        ("PATCH", "/crm/people/1", {"note": ["x"]}, 400, "must be a string, a number"),
        ("PATCH", "/crm/people/1", {"note": "a\0b"}, 400, "NUL"),
        ("PATCH", "/crm/people/1", b"{", 400, "not JSON"),
        ("PATCH", "/crm/people/1", b"[" * 100_000, 400, "not JSON"),
        ("PATCH", "/crm/people/1", b'"x"', 400, "not a JSON object"),
        ("PATCH", "/crm/people/1", b'{"note": NaN}', 400, "NaN"),
        ("PATCH", "/crm/people/1", b'{"note": "\\ud800"}', 400, "surrogate"),
        ("POST", "/crm/people", {"name": None, "age": 1}, 400, "NOT NULL constraint failed: people.name"),
        ("POST", "/crm/people", {"name": "x", "age": 1.5}, 400, "not an integer"),
        ("POST", "/crm/people", {"name": "x", "age": True}, 400, "not an integer"),
        ("POST", "/crm/people", {"name": "x", "age": 10**30}, 400, ""),
    ],
)
def test_what_cannot_be_carried_out_changes_nothing_and_says_why(
    world: World, method: str, target: str, body: Any, status: int, message: str
) -> None:
    before = world.ask("GET", "/crm/people")
    answer = world.ask(method, target, body)
    assert answer[0] == status
    assert message in answer[1]["error"]
    assert world.ask("GET", "/crm/people") == before
    assert world.records()[1].status == status


@pytest.mark.parametrize("text", ["'; DROP TABLE people; --", "1 OR 1=1", '" OR ""="', "%", "\\", "ü", "a b/c?d#e&f=g"])
def test_values_are_bound_never_part_of_the_statement(world: World, text: str) -> None:
    assert world.ask("PATCH", "/crm/people/1", {"note": text})[0] == 200
    rows = world.ask("GET", "/crm/people")[1]["rows"]
    assert [row["note"] for row in rows] == [text, None]


def test_a_get_that_writes_is_refused_and_undone(tmp_path: Path) -> None:
    endpoint = {"tool": "sneaky", "method": "GET", "path": "/sneaky", "sql": "DELETE FROM people"}
    world = World(tmp_path, endpoints=[endpoint, *service()["endpoints"]])
    assert world.ask("GET", "/crm/sneaky") == (400, {"error": "a GET endpoint must not write"})
    assert len(world.ask("GET", "/crm/people")[1]["rows"]) == 2


def test_a_statement_without_end_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoresearch.benches.workflow.database.STATEMENT_S", 0.05)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    world = World(tmp_path, endpoints=[{"tool": "endless", "method": "GET", "path": "/x", "sql": endless}])
    status, answer = world.ask("GET", "/crm/x")
    assert status == 400
    assert "took longer" in answer["error"]


@pytest.mark.parametrize("sql", ["SELECT load_extension('x')", "PRAGMA writable_schema = 1"])
def test_files_are_out_of_reach(tmp_path: Path, sql: str) -> None:
    endpoint = {"tool": "x", "method": "GET", "path": "/x", "sql": sql}
    with pytest.raises(CorpusError, match=r"authorized|prohibited"):  # found when the task is read
        World(tmp_path, endpoints=[endpoint])


def test_a_value_that_is_too_large_is_refused(tmp_path: Path) -> None:
    endpoint = {"tool": "x", "method": "GET", "path": "/x", "sql": "SELECT length(zeroblob(100000000))"}
    assert World(tmp_path, endpoints=[endpoint]).ask("GET", "/crm/x")[0] == 400


def test_long_answers_are_cut_off_and_say_so(tmp_path: Path) -> None:
    world = World(tmp_path, rows={"people": [{"id": i, "name": "x"} for i in range(1, 302)]})
    answer = world.ask("GET", "/crm/people")[1]
    assert len(answer["rows"]) == 200
    assert "first 200" in answer["truncated"]


def test_a_wide_answer_is_cut_off_by_its_length(tmp_path: Path) -> None:
    world = World(tmp_path, rows={"people": [{"id": i, "name": "x" * 50_000} for i in range(1, 20)]})
    answer = world.ask("GET", "/crm/people")[1]
    assert len(answer["rows"]) == 5
    assert answer["truncated"] == "only the first 5 rows are shown"


def test_values_that_json_does_not_have(tmp_path: Path) -> None:
    endpoint = {"tool": "x", "method": "GET", "path": "/x", "sql": "SELECT 9e999 AS a, -9e999 AS b, x'ff00' AS c"}
    world = World(tmp_path, endpoints=[endpoint])
    assert world.ask("GET", "/crm/x")[1]["rows"] == [{"a": "inf", "b": "-inf", "c": "ff00"}]


def test_what_the_audit_log_has_no_room_for_is_not_carried_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoresearch.benches.workflow.audit.MAX_RECORD_BYTES", 64 << 20)
    assert world.ask("PATCH", "/crm/people/1", {"note": "first"})[0] == 200
    assert world.ask("PATCH", "/crm/people/1", {"note": "second"})[0] == 429
    monkeypatch.undo()
    assert world.ask("GET", "/crm/people")[1]["rows"][0]["note"] == "first"
    assert len(world.records()) == 2


def test_the_audit_log_has_every_request_in_order(world: World) -> None:
    world.ask("PATCH", "/crm/people/1", {"note": "n"})
    world.ask("GET", "/crm/nothing")
    world.backend.refuse("POST", "/crm/people", 413, "too large")
    first, second, third = world.records()
    assert (first.seq, first.service, first.endpoint, first.status) == (1, "crm", "set_note", 200)
    assert first.request == {"method": "PATCH", "path": "/crm/people/1", "parameters": {"note": "n", "id": 1}}
    assert first.response == {"rows": [{"id": 1, "note": "n"}], "changed": 1}
    assert first.injected is None
    assert (second.endpoint, second.status) == (None, 404)
    assert (third.endpoint, third.status, third.seq) == ("add_person", 413, 3)


class TestFaults:
    def test_a_fault_comes_before_the_statement_and_is_marked(self, tmp_path: Path) -> None:
        world = World(tmp_path, faults=[{"tool": "set_note", "status": 503, "delay_s": 2, "limit": 2}])
        answers = [world.ask("PATCH", "/crm/people/1", {"note": str(i)})[0] for i in range(4)]
        assert answers == [503, 503, 200, 200]
        assert world.waits == [2, 2]
        records = world.records()
        assert [r.injected for r in records] == ["503, delay 2 s"] * 2 + [None] * 2
        assert records[0].request["parameters"] == {"note": "0", "id": 1}
        assert [row["note"] for row in world.ask("GET", "/crm/people")[1]["rows"]] == ["3", None]

    def test_a_delay_alone_carries_the_request_out(self, tmp_path: Path) -> None:
        world = World(tmp_path, faults=[{"delay_s": 0.5, "limit": 1}])
        assert world.ask("GET", "/crm/people")[0] == 200
        assert world.waits == [0.5]
        assert world.records()[0].injected == "delay 0.5 s"

    def test_the_seed_decides(self, tmp_path: Path) -> None:
        def statuses(seed: str, folder: str) -> list[int]:
            (tmp_path / folder).mkdir()
            world = World(tmp_path / folder, seed=seed, faults=[{"status": 500, "rate": 0.5, "limit": 99}])
            return [world.ask("GET", "/crm/people")[0] for _ in range(40)]

        first = statuses("0/t/0", "a")
        assert first == statuses("0/t/0", "b")
        assert first != statuses("0/t/1", "c")
        assert 10 <= first.count(500) <= 30

    def test_the_count_of_one_tool_does_not_depend_on_the_others(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
        fault = [{"tool": "list_people", "status": 500, "rate": 0.5, "limit": 99}]
        one, other = World(tmp_path / "a", faults=fault), World(tmp_path / "b", faults=fault)
        alone = [one.ask("GET", "/crm/people")[0] for _ in range(20)]
        mixed = []
        for _ in range(20):
            other.ask("GET", "/crm/search?name=x")
            mixed.append(other.ask("GET", "/crm/people")[0])
        assert alone == mixed


@given(st.lists(st.text(max_size=5), max_size=4))
def test_a_fraction_is_below_one_and_depends_on_its_parts(parts: list[str]) -> None:
    assert 0 <= fraction(*parts) < 1
    assert fraction(*parts) == fraction(*parts)
    assert fraction(*parts) != fraction(*parts, "x")


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        ("/a/{id}", "/a/7", {"id": "7"}),
        ("/a/{id}", "/a/x%2Fy", {"id": "x/y"}),
        ("/a/{id}", "/a/", None),
        ("/a/{id}", "/a/7/b", None),
        ("/a/{id}/b", "/a/7/b", {"id": "7"}),
        ("/a", "/b", None),
        ("/a", "/a/", None),
    ],
)
def test_paths_are_matched_part_by_part(pattern: str, path: str, values: dict[str, str] | None) -> None:
    assert match_path(pattern, path) == values


class TestAuditLog:
    @pytest.mark.parametrize(
        "content", [b"x\n", b'{"seq": 1}\n', b"\xff\n", b"[]\n", None, b'{"a": NaN}\n', b"[" * 10_000]
    )
    def test_damage_is_named_with_its_line(self, tmp_path: Path, content: bytes | None) -> None:
        if content is not None:
            (tmp_path / AUDIT_NAME).write_bytes(content)
        with pytest.raises(AuditDamaged, match=r"audit\.jsonl"):
            read_audit(tmp_path / AUDIT_NAME)

    def test_a_missing_line_is_found(self, world: World) -> None:
        for _ in range(3):
            world.ask("GET", "/crm/people")
        path = world.folder / AUDIT_NAME
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(lines[0] + lines[2])
        with pytest.raises(AuditDamaged, match="line 2: seq is 3, not 2"):
            read_audit(path)

    def test_a_link_in_its_place_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "real").write_bytes(b"")
        (tmp_path / AUDIT_NAME).symlink_to("real")
        with pytest.raises(AuditDamaged):
            read_audit(tmp_path / AUDIT_NAME)

    def test_nothing_is_written_after_its_end(self, world: World) -> None:
        world.audit.close()
        with pytest.raises(OSError, match="Bad file"):
            world.ask("GET", "/crm/people")
        world.audit = AuditLog(world.folder / "other.jsonl")  # for the fixture to close
