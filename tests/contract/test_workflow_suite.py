"""Suite W under the contract of every suite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.cases import Case
from autoresearch.benches.ports import ChatTurn, NativeToolCall
from autoresearch.benches.workflow.suite import WorkflowSuite
from autoresearch.testing.contracts.suite import SuiteContract
from autoresearch.testing.fake_chat import FakeChat
from tests.unit.benches.workflow.tasks import write_task


class TestWorkflowSuite(SuiteContract):
    args = ("--fault-seed", "7")

    @pytest.fixture
    def suite(self) -> Any:
        return WorkflowSuite()

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        write_task(tmp_path / "tasks/one", task_id="one")
        checks = [{"type": "file_contents_contain", "path": "a.txt", "text": "called"}]
        write_task(tmp_path / "tasks/two", task_id="two", services=None, tools=["write_file"], checks=checks)
        return tmp_path / "tasks"

    def good_chat(self, case: Case) -> FakeChat:
        name, arguments = "set_note", {"id": 1, "note": "called"}
        if case.id == "two":
            name, arguments = "write_file", {"path": "a.txt", "content": "called"}
        return FakeChat(ChatTurn("", tool_calls=(NativeToolCall("1", name, json.dumps(arguments)),)), "Done.")
