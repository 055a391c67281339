"""Trials of the stand-in trainer for tests, and the processes that they leave behind or not."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from autoresearch.core.measurement import Cause
from autoresearch.core.values import Cfg
from autoresearch.testing.stand_in_trainer import ENDS, StandInServer, stand_in_spec
from autoresearch.trials.forked_trial import ForkedTrial
from autoresearch.trials.runner import ChildRunner

MARK = "STAND_IN_MARK"  # environment: which test a process belongs to
DEADLINE_S = 8.0  # of a trial
MEMORY_BYTES = 192 << 20  # that a trial may take
END_S = 60.0  # in which processes must end that have lost their parents

CFG: Cfg = {"lr": 1e-3, "steps": 10, "step_s": 0.002}
LONG: Cfg = {"lr": 1e-3, "steps": 100, "step_s": 0.01}
FAILING: dict[Cause, Cfg] = {cause: CFG | {"ends": how} for cause, how in ENDS.items()}


def make_trial(
    server: StandInServer, aborted: Callable[[], bool], run_dir: Path, deadline_s: float = DEADLINE_S
) -> ForkedTrial:
    """A trial in a child of ``server``."""
    runner, spec = ChildRunner(server, aborted), stand_in_spec("corpus")
    return ForkedTrial(runner, spec, deadline_s, run_dir, run_dir / "checkpoint", MEMORY_BYTES)


@contextmanager
def marked(mark: str) -> Iterator[None]:
    """Processes that are started inside carry the mark."""
    before = os.environ.get(MARK)
    os.environ[MARK] = mark
    try:
        yield
    finally:
        os.environ.pop(MARK)
        if before is not None:
            os.environ[MARK] = before


def processes(mark: str, word: str = StandInServer.module) -> list[int]:
    """The live processes with the mark and ``word`` in their command line: trial servers and trials by default."""
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes()
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if f"{MARK}={mark}".encode() in environ.split(b"\0") and word.encode() in command:
            found.append(pid)
    return found


def all_end(pids: list[int], seconds: float = END_S) -> list[int]:
    """Wait for the end of processes that are not our children; those that live after ``seconds``."""
    deadline, alive = time.monotonic() + seconds, []
    for pid in pids:
        try:
            end = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([end], [], [], max(0.0, deadline - time.monotonic()))[0]:
                alive.append(pid)
        finally:
            os.close(end)
    return alive
