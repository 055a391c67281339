"""Attempts with a scripted chat through real services: what they leave, and that nothing else stays."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.cases import Case
from autoresearch.benches.ports import Attempt, Bench, ChatTurn, Infrastructure, NativeToolCall
from autoresearch.benches.trial_record import record_attempt
from autoresearch.benches.workflow import attempt as attempt_module
from autoresearch.benches.workflow.audit import AuditLog, read_audit
from autoresearch.benches.workflow.sandbox import shell as shell_module
from autoresearch.benches.workflow.sandbox.shell import SandboxFailed, refusal
from autoresearch.benches.workflow.suite import WorkflowSuite
from autoresearch.benches.workflow.toolbox import AttemptFailed
from autoresearch.testing.fake_chat import FakeChat
from tests.unit.benches.workflow.tasks import make_case, service

SUITE = WorkflowSuite()


def call(name: str, **arguments: Any) -> ChatTurn:
    return ChatTurn("", tool_calls=(NativeToolCall("c", name, json.dumps(arguments)),))


def attempt(case: Case, folder: Path, *script: Any, seed: int = 0, sample: int = 0) -> tuple[Attempt, FakeChat]:
    folder.mkdir()
    chat = FakeChat(*script)
    bench = Bench(chat, folder, SUITE.default_limits, {"fault_seed": seed}, lambda: False)
    return SUITE.attempt(case, sample, bench), chat


def grade(case: Case, made: Attempt, folder: Path) -> Any:
    return SUITE.grade(case, record_attempt(case.id, 0, made, "2026-01-01T00:00:00.000Z", 1.0), folder)


def test_a_task_that_is_carried_out_is_correct(tmp_path: Path) -> None:
    case = make_case(tmp_path / "task", judge={"rubric": "polite", "weight": 0.25})
    made, chat = attempt(case, tmp_path / "a", call("set_note", id=1, note="called"), "Ana was called.")
    assert (made.status, made.answer) == ("finished", "Ana was called.")
    graded = grade(case, made, tmp_path / "a")
    assert (graded.score, graded.correct, graded.grader, graded.detail["failed"]) == (1.0, True, "workflow@1", [])
    assert made.evidence["judge"] == {"rubric": "polite", "weight": 0.25}
    assert [m["role"] for m in made.evidence["transcript"]][:2] == ["system", "user"]
    assert chat.requests[0].messages[1]["content"] == "Note that Ana was called."
    assert {tool["function"]["name"] for tool in chat.requests[0].tools} == set(case.payload["task"]["tools"])
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"audit.jsonl", "service-crm.sqlite", "workspace"}


def test_the_right_words_without_the_deed_are_wrong(tmp_path: Path) -> None:
    case = make_case(tmp_path / "task")
    made, _ = attempt(case, tmp_path / "a", "I noted that Ana was called.")
    graded = grade(case, made, tmp_path / "a")
    assert (graded.score, graded.correct, graded.detail["failed"]) == (0.0, False, ["1_row"])


@pytest.mark.parametrize(
    "odd",
    [
        "\ud800",
        ChatTurn("\ud800", tool_calls=(NativeToolCall("1", "\udfff", "{}"),)),
        ChatTurn("", tool_calls=(NativeToolCall("1", "set_note", '{"id": 1, "note": "\\ud800"}'),)),
        ChatTurn("", tool_calls=(NativeToolCall("1", "set_note", '{"id": 1, "note": "\ud800"}'),)),
        ChatTurn("", tool_calls=(NativeToolCall("1", "write_file", '{"path": "\ud800", "content": ""}'),)),
    ],
)
def test_half_a_surrogate_pair_of_the_model_can_be_recorded(tmp_path: Path, odd: Any) -> None:
    case = make_case(tmp_path / "task")
    made, chat = attempt(case, tmp_path / "a", odd, "end")
    assert not grade(case, made, tmp_path / "a").correct
    for request in chat.requests:
        json.dumps(request.messages, ensure_ascii=False).encode()


def test_the_threshold_decides(tmp_path: Path) -> None:
    checks = [{"type": "says", "pattern": "yes", "weight": 3}, {"type": "says", "pattern": "no"}]
    for threshold, correct in ((0.75, True), (0.76, False)):
        folder = tmp_path / str(threshold)
        case = make_case(folder / "task", checks=checks, pass_threshold=threshold)
        made, _ = attempt(case, folder / "a", "yes")
        graded = grade(case, made, folder / "a")
        assert (graded.score, graded.correct) == (0.75, correct)


def test_errors_of_a_tool_are_results_for_the_model(tmp_path: Path) -> None:
    case = make_case(tmp_path / "task")
    script = [
        call("no_such_tool"),
        call("set_note", id="x", note="n"),
        call("read_file", path="../secret"),
        call("list_files"),  # exists, but the task does not offer it
        call("set_note", id=1, note={"a": 1}),
        "never reached: five turns",
    ]
    made, chat = attempt(case, tmp_path / "a", *script)
    assert made.status == "max_turns_reached"
    shown = [json.loads(m["content"])["error"] for m in chat.requests[-1].messages if m["role"] == "tool"]
    assert ["there is no tool" in shown[0], "not an integer" in shown[1], "leaves the workspace" in shown[2]] == [
        True
    ] * 3
    assert "there is no tool 'list_files'" in shown[3]
    assert [record.status for record in read_audit(tmp_path / "a/audit.jsonl")] == [400, 400]


def test_every_sample_meets_faults_of_its_own_and_a_seed_repeats_them(tmp_path: Path) -> None:
    case = make_case(
        tmp_path / "task",
        services=[service(faults=[{"status": 503, "rate": 0.5, "limit": 50}])],
        limits={"max_turns": 30},
    )

    def injected(name: str, **more: int) -> list[bool]:
        attempt(case, tmp_path / name, call("list_people"), **more)
        return [record.injected is not None for record in read_audit(tmp_path / name / "audit.jsonl")]

    first = injected("a")
    assert len(first) == 30
    assert first == injected("b")
    assert first != injected("c", sample=1)
    assert first != injected("d", seed=1)


def test_a_failing_server_leaves_no_service_behind(tmp_path: Path) -> None:
    case = make_case(tmp_path / "task")
    with pytest.raises(Infrastructure):
        attempt(case, tmp_path / "a", call("list_people"), Infrastructure("unreachable", "x"))
    assert [t.name for t in threading.enumerate() if t.name == "workflow services"] == []


SHELL = {"tools": ["shell"], "services": None, "checks": [{"type": "file_exists", "path": "made.txt"}]}


def test_a_shell_is_refused_where_it_cannot_be_confined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_module, "refusal", lambda: "this kernel has none")
    case = make_case(tmp_path / "task", **SHELL)
    made, chat = attempt(case, tmp_path / "a", call("shell", command="touch made.txt"))
    assert (made.status, made.answer) == ("refused", None)
    assert made.evidence["refused"] == "the task has a shell: this kernel has none"
    assert chat.requests == []
    assert list((tmp_path / "a").iterdir()) == []
    graded = grade(case, made, tmp_path / "a")
    assert (graded.score, graded.correct) == (None, None)
    assert "this kernel has none" in graded.detail["reason"]


@pytest.mark.skipif(refusal() is not None, reason=str(refusal()))
def test_a_shell_works_in_the_workspace_of_the_attempt(tmp_path: Path) -> None:
    case = make_case(tmp_path / "task", **SHELL)
    made, chat = attempt(case, tmp_path / "a", call("shell", command="cat a.txt; touch made.txt"), "done")
    assert json.loads(chat.requests[1].messages[-1]["content"]) == {"exit_code": 0, "output": "alpha\n"}
    assert grade(case, made, tmp_path / "a").correct


def test_a_sandbox_that_fails_is_not_the_models_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise SandboxFailed("no descriptor left")

    monkeypatch.setattr(attempt_module, "refusal", lambda: None)
    monkeypatch.setattr(shell_module.LandlockShell, "run", fail)
    case = make_case(tmp_path / "task", **SHELL)
    with pytest.raises(AttemptFailed, match="no descriptor left"):  # the engine makes it again
        attempt(case, tmp_path / "a", call("shell", command="x"))


def test_a_service_that_failed_is_not_the_models_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **fields: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(AuditLog, "append", fail)
    with pytest.raises(AttemptFailed, match="no space left"):
        attempt(make_case(tmp_path / "task"), tmp_path / "a", call("list_people"), "done")


@pytest.mark.parametrize("arguments", [{}, {"command": 7}, {"command": "x", "more": 1}])
def test_a_shell_takes_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]) -> None:
    monkeypatch.setattr(attempt_module, "refusal", lambda: None)
    _, chat = attempt(make_case(tmp_path / "task", **SHELL), tmp_path / "a", call("shell", **arguments), "ok")
    assert "one argument, command" in chat.requests[1].messages[-1]["content"]


def test_a_long_conversation_is_shortened_in_the_record(tmp_path: Path) -> None:
    case = make_case(tmp_path / "task", limits={"max_turns": 40})
    made, _ = attempt(
        case, tmp_path / "a", *[ChatTurn("x" * 20_000, tool_calls=call("list_people").tool_calls)] * 20, "y"
    )
    assert len(json.dumps(made.evidence)) < 300_000
    assert made.answer == "y"
