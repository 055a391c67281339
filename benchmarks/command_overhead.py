"""What an iteration of trainer ``command`` takes beside the bare command: python -m benchmarks.command_overhead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from autoresearch.config.resolve import resolve
from autoresearch.core.ports import Observer
from autoresearch.core.records import Evaluated
from autoresearch.daemon import service
from autoresearch.storage.decode import decode_trajectory
from autoresearch.storage.journal import read

ITERATIONS = 30
COMMAND = [sys.executable, "-S", "-c", "print('METRIC loss=1.0')"]
MENU = {"version": 1, "knobs": {"x": {"type": "int", "low": 1, "high": 1000, "default": 1}}, "constraints": []}


def bare_s() -> float:
    """The command alone, started as often."""
    times = []
    for _ in range(ITERATIONS):
        began = time.monotonic()
        subprocess.run(COMMAND, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        times.append(time.monotonic() - began)
    return median(times)


def iteration_s(folder: Path) -> float:
    """A whole iteration with one trial: proposal, rails, records, trial, files watched."""
    (folder / "menu.json").write_text(json.dumps(MENU))
    (folder / "train.py").write_text("")
    flags = {
        "trainer": "command",
        "command.argv": COMMAND,
        "command.cwd": str(folder),
        "command.metric": "loss",
        "command.files": ["*.py"],
        "menu_file": str(folder / "menu.json"),
        "dir": str(folder / "run"),
        "iters": ITERATIONS,
        "proposer": "random",
        "decision.rule": "threshold",
        "budget.kind": "steps",
        "reports": ["text"],
    }
    service.run(resolve(flags, {}).settings, Observer())
    path = folder / "run/trajectory.jsonl"
    records = decode_trajectory(read(path).payloads, path)
    return median(record.iter_wall_s for record in records if isinstance(record, Evaluated))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        whole = iteration_s(Path(folder))
        cpu, bare = (time.process_time() - began) / ITERATIONS, bare_s()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"bare command {1000 * bare:.1f} ms, iteration {1000 * whole:.1f} ms: {1000 * (whole - bare):.1f} ms more")
    print(f"CPU time of the daemon, start and report included: {1000 * cpu:.1f} ms an iteration")
    print(f"medians of {ITERATIONS}; load averages {load} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
