"""How soon `autoresearch pause --now` takes effect inside a trial of 1,000 steps.

    python -m benchmarks.pause_latency [--pauses 20]

The real commands on profile tiny, with a larger budget. Each pause comes at another moment of the baseline's
trial, and ends as soon as it is recorded. The seconds are from the start of the command `pause` (a Python of its own)
to the durable record that the run has paused.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from autoresearch.core.records import Event, Paused, TrialEnded, TrialStarted, TrialSuspended, decode
from autoresearch.storage.journal import read
from benchmarks.machine import describe

STEPS = 1000
BETWEEN_S = (0.5, 2.0)  # of training, between two pauses


class Log(FileSystemEventHandler):
    """Wakes the thread that waits for the next record."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.grown = threading.Event()

    def on_modified(self, event: FileSystemEvent) -> None:
        self.grown.set()

    def records(self) -> list[Event]:
        return [decode(p) for p in read(self.path).payloads] if self.path.exists() else []

    def wait_for(self, kind: type[Event], count: int) -> None:
        while sum(isinstance(r, kind) for r in self.records()) < count:
            self.grown.wait(1.0)
            self.grown.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pauses", type=int, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        run_dir.mkdir()
        latencies = paused_run(run_dir, args.pauses)
        parts = [r.suspended for r in Log(run_dir / "trajectory.jsonl").records() if isinstance(r, TrialSuspended)]
    ordered = sorted(latencies)
    print(f"### Pause inside a trial\n\n{describe()}\n")
    print(f"`python -m benchmarks.pause_latency --pauses {args.pauses}`: profile tiny, trials of {STEPS} steps\n")
    print("| from `pause --now` to the durable record | seconds |\n|---|---|")
    print(f"| median | {statistics.median(ordered):.2f} |\n| longest of {len(ordered)} | {ordered[-1]:.2f} |")
    print("| target | at most 5 |\n")
    print(f"Put aside after steps {', '.join(str(p.step) for p in parts)}.")


def paused_run(run_dir: Path, pauses: int) -> list[float]:
    """The latency of each pause of one run, which is ended after the last."""
    log, dice, latencies = Log(run_dir / "trajectory.jsonl"), random.Random(0), []
    autoresearch = [sys.executable, "-m", "autoresearch"]
    budget = ["--set", f"budget.size={STEPS}", "--set", "limits.deadline_s=3600"]
    watch = Observer()
    watch.schedule(log, str(run_dir))
    watch.start()
    command = [*autoresearch, "run", "--dir", str(run_dir), *budget]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as daemon:
        for n in range(pauses):
            log.wait_for(TrialStarted, n + 1)
            time.sleep(dice.uniform(*BETWEEN_S))  # a random moment is what this is about
            began = time.monotonic()
            subprocess.run([*autoresearch, "pause", "--now", str(run_dir)], check=True, stdout=subprocess.DEVNULL)
            log.wait_for(Paused, n + 1)
            latencies.append(time.monotonic() - began)
            subprocess.run([*autoresearch, "resume", str(run_dir)], check=True, stdout=subprocess.DEVNULL)
        if any(isinstance(r, TrialEnded) for r in log.records()):
            raise SystemExit("the trial ended before its last pause: take fewer, or more steps")
        daemon.kill()
    watch.stop()
    watch.join()
    return latencies


if __name__ == "__main__":
    main()
