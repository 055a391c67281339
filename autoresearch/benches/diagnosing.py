"""``bench diagnose``: the suite research explains where a run loses its cases."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from autoresearch.benches.ports import BenchRun
from autoresearch.errors import ConfigError

DIAGNOSED = {"research": "autoresearch.benches.research.diagnose"}  # by suite: the module that can


def diagnose_run(run: BenchRun) -> dict[str, Any]:
    """The diagnosis as plain JSON; ``sentence`` is its conclusion. Raises ``ConfigError`` for another suite."""
    found: dict[str, Any] = _module_of(run).diagnose(run)
    return found


def describe_diagnosis(run: BenchRun, found: dict[str, Any]) -> str:
    """The diagnosis as text for a terminal."""
    text: str = _module_of(run).describe_diagnosis(found)
    return text


def _module_of(run: BenchRun) -> Any:
    if run.meta.suite not in DIAGNOSED:
        what = f"{run.path} is a run of the suite {run.meta.suite}, whose losses have no chain to explain"
        raise ConfigError(what, hint=f"diagnose a run of: {', '.join(DIAGNOSED)}; `bench analyze` has its statuses")
    return import_module(DIAGNOSED[run.meta.suite])
