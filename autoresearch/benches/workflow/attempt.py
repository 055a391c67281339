"""One attempt: workspace, services and tools are made, the agent runs, and what it left stays for the grader."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autoresearch.benches.cases import Case
from autoresearch.benches.ports import Attempt, Bench
from autoresearch.benches.workflow.agent import AgentLimits, Trace, WorkflowAgent
from autoresearch.benches.workflow.faults import FaultPlan
from autoresearch.benches.workflow.grading import WORKSPACE
from autoresearch.benches.workflow.load import files_of, task_of
from autoresearch.benches.workflow.sandbox.shell import LandlockShell, Shell, refusal
from autoresearch.benches.workflow.server import serving
from autoresearch.benches.workflow.task import Task
from autoresearch.benches.workflow.toolbox import AttemptFailed, Toolbox
from autoresearch.benches.workflow.workspace import Workspace

REFUSED = "refused"  # the machine cannot run the task safely
MAX_TRANSCRIPT_CHARS = 200_000


@contextmanager
def prepared(
    task: Task,
    files: Mapping[str, bytes],
    folder: Path,
    seed: str,
    *,
    shell: Shell | None,
    timeout_s: float,
    stopped: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Toolbox]:
    """The tools of a task in the empty ``folder``, its services running until the end of the block."""
    root = folder / WORKSPACE
    root.mkdir()
    with Workspace(root) as workspace:
        for path, data in files.items():
            workspace.create(path, data)
        end = clock() + timeout_s
        with serving(task.services, folder, FaultPlan(seed)) as services:
            yield Toolbox(task, services, workspace, root, shell, lambda: end - clock(), stopped)


def run_attempt(case: Case, sample: int, bench: Bench) -> Attempt:
    """Let the run's model carry out the task. Raises ``Infrastructure`` and ``Interrupted``.

    Where a service or the sandbox fails, ``AttemptFailed`` or ``OSError``: then there is no result of the model.
    """
    task = task_of(case)
    if task.uses_shell and (reason := refusal()):
        return Attempt(REFUSED, None, evidence={REFUSED: f"the task has a shell: {reason}"})
    assert bench.chat is not None
    limits = AgentLimits(
        max_turns=int(min(task.limits.max_turns, bench.limits["max_turns"])),
        timeout_s=min(task.limits.timeout_s, bench.limits["timeout_s"]),
        max_tokens=int(bench.limits["max_tokens"]),
        max_completion_tokens=int(bench.limits["max_completion_tokens"]),
    )
    seed = f"{bench.options.get('fault_seed', 0)}/{case.id}/{sample}"
    shell = LandlockShell() if task.uses_shell else None
    with prepared(
        task, files_of(case), bench.folder, seed, shell=shell, timeout_s=limits.timeout_s, stopped=bench.stopped
    ) as tools:
        trace = WorkflowAgent(
            bench.chat, tools, limits, tools_as_text=bench.options.get("tools") == "text", stopped=bench.stopped
        ).run(task.prompt.text)
        if tools.services.problems:
            raise AttemptFailed(f"a service failed: {tools.services.problems[0]}")
    return _attempt(task, trace, limits)


def _attempt(task: Task, trace: Trace, limits: AgentLimits) -> Attempt:
    evidence: dict[str, Any] = {"limits": asdict(limits), "transcript": _bounded(trace.messages)}
    if trace.detail:
        evidence["detail"] = trace.detail
    if task.judge:
        evidence["judge"] = {"rubric": task.judge.rubric, "weight": task.judge.weight}
    return Attempt(
        status=trace.status,
        answer=trace.answer,
        turns=tuple(trace.turns),
        tokens_in=trace.tokens_in,
        tokens_out=trace.tokens_out,
        evidence=evidence,
    )


def _bounded(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conversation; of its longest messages the beginning, where it is longer than a record should be."""
    total = sum(len(str(message.get("content") or "")) for message in messages)
    if total <= MAX_TRANSCRIPT_CHARS:
        return messages
    share = max(200, MAX_TRANSCRIPT_CHARS // len(messages))
    cut = []
    for message in messages:
        text = str(message.get("content") or "")
        cut.append(message if len(text) <= share else {**message, "content": f"{text[:share]}... [cut off]"})
    return cut
