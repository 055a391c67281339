"""Solutions of a task: tool calls and a final answer, replayed through the real services, to test the checks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from autoresearch.benches.workflow.bounded_yaml import read_yaml
from autoresearch.benches.workflow.toolbox import Toolbox
from autoresearch.core.values import FrozenModel
from autoresearch.errors import CorpusError

SOLUTIONS = "solutions"
MAX_TRIES = 4  # of a call that a fault was injected into


class Call(FrozenModel):
    """One tool call. ``fails``: its result is an error, as the task means it."""

    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    fails: bool = False


class Solution(FrozenModel):
    """``why`` says what is wrong with it; ``fails`` names the checks that must fail, and no other may."""

    why: str = ""
    calls: tuple[Call, ...] = ()
    answer: str
    fails: tuple[str, ...] = ()


def read_solutions(folder: Path) -> dict[str, Solution]:
    """The solutions of a task folder by name: "oracle", "wrong-...". Raises ``CorpusError``."""
    found = {}
    for path in sorted((folder / SOLUTIONS).glob("*.yaml")):
        document = read_yaml(path)
        try:
            found[path.stem] = Solution.model_validate_json(json.dumps(document.value, allow_nan=False))
        except ValidationError as e:
            first = e.errors(include_url=False)[0]
            raise document.error(tuple(first["loc"]), first["msg"]) from e
        except ValueError as e:
            raise document.error((), str(e)) from e
    return found


def replay(calls: Sequence[Call], toolbox: Toolbox) -> None:
    """Make the calls; one that a fault failed is repeated. Raises ``CorpusError`` for an unexpected result."""
    for call in calls:
        result: dict[str, Any] = {}
        for _ in range(MAX_TRIES):
            result = toolbox.use(call.tool, call.arguments)
            if result.get("status", 0) < 500:
                break
        if (failed := "error" in result or bool(result.get("exit_code"))) != call.fails:
            what = f"{call.tool} {json.dumps(call.arguments)[:200]} {'failed' if failed else 'did not fail'}"
            raise CorpusError(f"{what}: {json.dumps(result)[:500]}", hint="repair the solution or the task")
