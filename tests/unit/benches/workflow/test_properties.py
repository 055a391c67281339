"""Laws: whatever a task file, a client or an agent sends, the answer is one of the documented ones."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch.benches.workflow.audit import AUDIT_NAME, AuditLog, read_audit
from autoresearch.benches.workflow.backend import Backend
from autoresearch.benches.workflow.database import parameters_of
from autoresearch.benches.workflow.faults import FaultPlan
from autoresearch.benches.workflow.grading import WORKSPACE
from autoresearch.benches.workflow.load import read_case, task_of
from autoresearch.benches.workflow.workspace import Workspace
from autoresearch.errors import CorpusError
from tests.examples import examples
from tests.unit.benches.workflow.tasks import TASK, make_case, using

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every part of a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


PLACES = list(places(TASK))


@given(st.sampled_from(PLACES), JSON)
@settings(max_examples=examples(150), deadline=None)
def test_a_task_with_any_value_anywhere_is_read_or_refused(place: tuple[Any, ...], value: Any) -> None:
    task = copy.deepcopy(TASK)
    inner: Any = task
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "task.yaml").write_text(json.dumps(task))
        refused = ""
        try:
            case = read_case(Path(folder))
            assert task_of(case).task_id == case.id
        except CorpusError as e:
            refused = str(e)
        assert not refused or "task.yaml, line 1:" in refused


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Backend, Path]]:
    folder = tmp_path_factory.mktemp("backend")
    audit = AuditLog(folder / AUDIT_NAME)
    made = Backend(task_of(make_case(folder / "task")).services, folder, FaultPlan("0"), audit)
    yield made, folder
    made.close()
    audit.close()


METHODS = st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PUT", "X", ""])
TARGETS = st.sampled_from(["/crm/people", "/crm/people/1", "/crm/search", "/crm/people/%ff", "//x", ""]) | st.text(
    alphabet="/crmpeol?=&%:1\0 ü", max_size=20
)
BODIES = st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode())


@given(METHODS, TARGETS, BODIES)
@settings(max_examples=examples(200), deadline=None)
def test_any_request_has_an_answer_and_a_record(
    backend: tuple[Backend, Path], method: str, target: str, body: bytes
) -> None:
    made, folder = backend
    before = len(read_audit(folder / AUDIT_NAME))
    status, answer = made.handle(method, target, body, lambda _: None)
    assert status in (200, 400, 404)
    json.dumps(answer, allow_nan=False, ensure_ascii=False).encode()
    assert len(read_audit(folder / AUDIT_NAME)) == before + 1


@given(st.sampled_from(TASK["tools"]), st.dictionaries(st.sampled_from(["id", "note", "path", "content", "x"]), JSON))
@settings(max_examples=examples(100), deadline=None)
def test_any_call_has_a_result_and_stays_inside(name: str, arguments: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        case = make_case(Path(folder) / "task")
        with using(case, Path(folder) / "a") as tools:
            result = tools.use(name, arguments)
        json.dumps(result, allow_nan=False, ensure_ascii=False).encode()
        assert {p.name for p in (Path(folder) / "a").iterdir()} == {AUDIT_NAME, WORKSPACE, "service-crm.sqlite"}
        with Workspace(Path(folder) / "a" / WORKSPACE) as workspace:
            assert workspace.usage().entries >= 3


@given(st.lists(st.sampled_from(["a", "b", "long_name"]), max_size=4), st.sampled_from(["'", '"', "-- ", "/* "]))
def test_parameters_are_those_outside_of_strings_and_comments(names: list[str], quote: str) -> None:
    end = {"-- ": "\n", "/* ": " */"}.get(quote, quote)
    sql = f"SELECT {quote}:hidden{end}" + "".join(f", :{name}" for name in names)
    assert parameters_of(sql) == tuple(dict.fromkeys(names))
