"""The tables of a process: each is checked and prepared once, whichever case or sample asks for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from autoresearch.benches.proposers.problem import Problem, problem_of
from autoresearch.benches.proposers.table import MeasuredTable
from autoresearch.benches.proposers.table_file import parse_table


class LoadedTables:
    """Prepared tables by their content. Samples run in several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: tuple[Mapping[str, Any], tuple[Problem, MeasuredTable]] | None = None

    def of(self, plain: Mapping[str, Any]) -> tuple[Problem, MeasuredTable]:
        """The problem and the surface of a table as plain JSON. Raises ``CorpusError``."""
        with self._lock:
            if self._latest is None or (self._latest[0] is not plain and self._latest[0] != plain):
                self._latest = plain, problem_of(parse_table(json.dumps(plain), "the table of the case"))
            return self._latest[1]
