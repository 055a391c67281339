"""A real run with a budget in seconds on a machine that is busy at first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from autoresearch.core.ports import Observer
from autoresearch.core.records import Evaluated, Event, TrialEnded
from autoresearch.daemon.service import run
from autoresearch.energy.machine import cpu_wait_s, pressure_files
from autoresearch.storage.decode import decode_trajectory
from autoresearch.storage.journal import Journal
from autoresearch.storage.run_dir import TRAJECTORY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(cpu_wait_s(pressure_files()) is None, reason="this kernel does not report pressure (PSI)"),
]


class Load(Observer):
    """Keeps every core busy until the first trial has ended."""

    def __init__(self) -> None:
        busy = [sys.executable, "-S", "-c", "while True: pass"]
        self.processes = [subprocess.Popen(busy) for _ in range(2 * (os.cpu_count() or 1))]

    def recorded(self, event: Event) -> None:
        if isinstance(event, TrialEnded):
            self.end()

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def load() -> Iterator[Load]:
    load = Load()
    yield load
    load.end()


def test_a_baseline_that_ran_beside_other_programs_is_not_the_one_that_counts(
    make_settings, quick_trials: dict[str, Any], small_corpus: Path, load: Load
) -> None:
    timed = {"budget.kind": "seconds", "budget.size": 2.0, "budget.disturbed_baseline": "repeat"}
    settings = make_settings({**quick_trials, **timed, "corpus": str(small_corpus), "iters": 1})
    assert run(settings, load) == "complete"
    with closing(Journal(settings.run_dir / TRAJECTORY)) as journal:
        records = list(decode_trajectory(journal, journal.path))
    first, *rest = [r for r in records if isinstance(r, TrialEnded) and r.iter == 0]
    assert "contended" in first.marks
    assert first.void
    (accepted,) = [t for t in rest if not t.void]
    (verdict,) = [r for r in records if isinstance(r, Evaluated)]
    assert verdict.baseline_marks == accepted.marks, "none on a machine that is otherwise quiet"
    assert "tokens a trial, the baseline on " in verdict.reason
