"""docs/benches.md: its example is a task, and it names every field, tool, check and status."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from autoresearch.benches.workflow import agent, attempt
from autoresearch.benches.workflow.audit import AuditRecord
from autoresearch.benches.workflow.checks import Check
from autoresearch.benches.workflow.load import read_case
from autoresearch.benches.workflow.task import FILE_TOOLS, Endpoint, Fault, Service, Task
from tests.unit.benches.workflow.tasks import grade, using

PAGE = (Path(__file__).parents[4] / "docs/benches.md").read_text().partition("## Suite workflow")[2]
CHECKS = [kind.model_fields["type"].annotation for kind in get_args(get_args(Check)[0])]


def test_the_example_is_a_task_that_can_be_passed(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task/task.yaml").write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
    case = read_case(tmp_path / "task")
    with using(case, tmp_path / "a") as tools:
        assert tools.use("set_note", {"id": 1, "note": "CALL BACK"})["status"] == 503
        assert tools.use("set_note", {"id": 1, "note": "CALL BACK"}) == {"status": 200, "changed": 1}
    assert all(result.passed for result in grade(case, tmp_path / "a", "It is customer 1."))


@pytest.mark.parametrize(
    "name",
    [
        *(name for kind in (Task, Endpoint, Fault) for name in kind.model_fields if name not in ("prompt", "method")),
        *(name for name in Service.model_fields if name not in ("name", "ddl")),
        *FILE_TOOLS,
        "shell",
        *AuditRecord.model_fields,
        *(get_args(kind)[0] for kind in CHECKS),
        *get_args(agent.Status),
        attempt.REFUSED,
    ],
)
def test_every_name_is_on_the_page(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGE)
