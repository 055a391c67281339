"""The tasks of the package, through the real services: the oracle scores 1, each wrong solution fails as it should."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.cases import Case
from autoresearch.benches.ports import Bench, ChatTurn, NativeToolCall
from autoresearch.benches.trial_record import record_attempt
from autoresearch.benches.workflow.grading import score_of
from autoresearch.benches.workflow.load import BUILTIN, read_case, task_folders, task_of
from autoresearch.benches.workflow.sandbox.shell import refusal
from autoresearch.benches.workflow.solutions import Solution, read_solutions, replay
from autoresearch.benches.workflow.suite import WorkflowSuite
from autoresearch.testing.fake_chat import FakeChat
from tests.unit.benches.workflow.tasks import grade, using

FOLDERS = {folder.name: folder for folder in task_folders(BUILTIN)}
NAMES = [
    (task, path.stem) for task, folder in FOLDERS.items() for path in sorted((folder / "solutions").glob("*.yaml"))
]


@cache
def case_of(task: str) -> Case:
    return read_case(FOLDERS[task])


@cache
def solutions_of(task: str) -> dict[str, Solution]:
    return read_solutions(FOLDERS[task])


@pytest.mark.parametrize(("task", "name"), NAMES, ids=[f"{task}-{name}" for task, name in NAMES])
def test_a_solution_passes_and_fails_exactly_the_checks_that_it_should(task: str, name: str, tmp_path: Path) -> None:
    case, solution = case_of(task), solutions_of(task)[name]
    if task_of(case).uses_shell and (reason := refusal()):
        pytest.skip(reason)
    with using(case, tmp_path / "a", f"0/{task}/0") as tools:
        replay(solution.calls, tools)
    results = grade(case, tmp_path / "a", solution.answer)
    assert {r.name: r.reason for r in results if not r.passed}.keys() == set(solution.fails), results
    assert (score_of(results) >= task_of(case).pass_threshold) == (name == "oracle")


def oracle_chat(solution: Solution) -> FakeChat:
    """A model that makes the oracle's calls one by one, repeats what a fault failed, and then gives its answer."""
    waiting = list(solution.calls)
    made: list[ChatTurn] = []

    def reply(messages: Sequence[Mapping[str, Any]]) -> ChatTurn | str:
        last = messages[-1]
        if last["role"] == "tool" and json.loads(last["content"]).get("status", 0) >= 500:
            return made[-1]
        if not waiting:
            return solution.answer
        call = waiting.pop(0)
        made.append(ChatTurn("", tool_calls=(NativeToolCall("c", call.tool, json.dumps(call.arguments)),)))
        return made[-1]

    return FakeChat(reply, context_tokens=100_000)


@pytest.mark.parametrize("task", list(FOLDERS))
def test_a_model_that_does_what_the_oracle_does_passes(task: str, tmp_path: Path) -> None:
    if task_of(case_of(task)).uses_shell and (reason := refusal()):
        pytest.skip(reason)
    suite, chat = WorkflowSuite(), oracle_chat(solutions_of(task)["oracle"])
    made = suite.attempt(case_of(task), 0, Bench(chat, tmp_path, suite.default_limits, {"fault_seed": 3}, bool))
    graded = suite.grade(case_of(task), record_attempt(task, 0, made, "2026-01-01T00:00:00.000Z", 1.0), tmp_path)
    assert made.status == "finished", made.evidence.get("detail")
    assert graded.correct, graded.detail["failed"]


@pytest.mark.parametrize("task", list(FOLDERS))
def test_a_task_has_an_oracle_and_at_least_three_wrong_solutions(task: str) -> None:
    assert case_of(task).id == task
    solutions = solutions_of(task)
    assert solutions["oracle"].fails == ()
    wrong = {name: solution for name, solution in solutions.items() if name.startswith("wrong-")}
    assert len(wrong) >= 3
    assert set(solutions) == {"oracle", *wrong}
    assert all(solution.fails and solution.why for solution in wrong.values())


@pytest.mark.parametrize("task", list(FOLDERS))
def test_every_check_that_asks_for_a_deed_is_failed_by_some_wrong_solution(task: str) -> None:
    """Otherwise nothing shows that the check can fail; guards of what nobody touches are the exception."""
    failed = {name for solution in solutions_of(task).values() for name in solution.fails}
    parsed = task_of(case_of(task))
    deeds = {parsed.check_name(i) for i, check in enumerate(parsed.checks) if check.type in ("row", "called", "says")}
    heavy = {parsed.check_name(i) for i, check in enumerate(parsed.checks) if check.weight > 1}
    assert heavy <= failed
    assert len(deeds - failed) <= 2, deeds - failed


def test_there_are_enough_of_them() -> None:
    families = [case_of(task).family for task in FOLDERS]
    assert len(families) >= 15
    assert set(families) == {"HR", "CRM", "tickets", "finance/MGMT", "workspace repair"}
    assert min(families.count(family) for family in families) >= 3
    assert sum(task_of(case_of(task)).uses_shell for task in FOLDERS) >= 2
    assert all(len(solutions_of(task)["oracle"].calls) >= 5 for task in FOLDERS)


def test_doing_nothing_passes_no_task(tmp_path: Path) -> None:
    shares = {}
    for task in FOLDERS:
        with using(case_of(task), tmp_path / task):
            pass
        shares[task] = score_of(grade(case_of(task), tmp_path / task))
    assert max(shares.values()) < 0.75, shares
