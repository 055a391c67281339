"""A run directory with 100,000 records: time and memory to open it, show it, append to it and propose from it.

python -m benchmarks.scale [--records N] [--repeats N]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from autoresearch.core.records import EvalFailed, Evaluated, Event, Proposed, TrialEnded, TrialStarted, encode
from autoresearch.storage.run_dir import HISTORY_CACHE, RUN_CACHE, TRAJECTORY
from autoresearch.storage.sealed_line import seal
from benchmarks.long_night import records
from benchmarks.machine import describe

RECORDS = 100_000
RECORDS_EACH = 3.85  # an iteration: proposed, trial_started, trial, evaluated; fewer where it is blocked
APPENDS = 200
PROPOSERS = ("random", "tpe", "trust-region", "prompt of the LLM")
TARGETS = {"start": 2.0, "status": 1.0, "report": 5.0, "report --json": 5.0}
MEMORY_MIB, PROPOSAL_S = 250, 0.5


def with_proposed(events: Iterable[Event]) -> Iterator[Event]:
    """The events with the ``proposed`` record that the loop writes before the trials of a candidate."""
    trials: list[Event] = []
    for event in events:
        if isinstance(event, TrialStarted | TrialEnded) and event.iter:
            trials.append(event)
            continue
        if isinstance(event, Evaluated | EvalFailed):
            shared = set(Proposed.model_fields) - {"stage", "power"}
            yield Proposed.model_validate({name: getattr(event, name) for name in shared})
            yield from trials
            trials = []
        yield event


def write_run(run_dir: Path, count: int) -> None:
    """Write the first ``count`` records of a generated night."""
    events = with_proposed(records(int(count / RECORDS_EACH) + 100, 900.0))
    with (run_dir / TRAJECTORY).open("wb") as file:
        for n, event in zip(range(count), events, strict=False):
            file.write(seal(n, encode(event)))


def start(run_dir: Path) -> None:
    """What a start of the daemon imports, and what it does with the journal."""
    from autoresearch.daemon.run_reader import read_run, run_cache
    from autoresearch.machine import without_gc
    from autoresearch.storage.journal import Journal

    import_module("autoresearch.daemon.service")
    cache = run_cache(run_dir)
    with closing(Journal(run_dir / TRAJECTORY, verified=cache.prefix)) as journal, without_gc():
        read_run(journal, cache)


def proposals(run_dir: Path) -> dict[str, list[float]]:
    """Seconds of the first proposals after a start."""
    from autoresearch.core.trajectory import Trajectory
    from autoresearch.daemon.run_reader import read_run, run_cache
    from autoresearch.proposers.prompting.prompt_history import summarise_results
    from autoresearch.proposers.random import RandomProposer
    from autoresearch.proposers.space import Space
    from autoresearch.proposers.tpe import TpeProposer
    from autoresearch.proposers.trust_region import TrustRegionProposer
    from autoresearch.storage.journal import Journal
    from rails import default_menu

    menu = default_menu()
    space = Space(menu, menu.defaults, lambda _cfg: 60)
    cache = run_cache(run_dir)
    with closing(Journal(run_dir / TRAJECTORY, verified=cache.prefix)) as journal:
        trajectory: Trajectory = read_run(journal, cache)[0]
    tpe, random = TpeProposer(space, 0), RandomProposer(space, 0)
    joint = replace(space, max_changes=len(space.menu.knobs))
    trust_region = TrustRegionProposer(joint, 0)
    kinds: tuple[Callable[[], Any], ...] = (
        lambda: random.propose(trajectory, ()),
        lambda: tpe.propose(trajectory, ()),
        lambda: trust_region.propose(trajectory, ()),
        lambda: summarise_results(trajectory, menu),
    )
    return {name: [seconds(kind) for _ in range(5)] for name, kind in zip(PROPOSERS, kinds, strict=True)}


def appends(run_dir: Path) -> list[float]:
    """Seconds of each of some durable appends."""
    from autoresearch.storage.journal import Journal

    with closing(Journal(run_dir / TRAJECTORY)) as journal:
        payload = (run_dir / "payload").read_text()
        return [seconds(lambda: journal.append(payload)) for _ in range(APPENDS)]


def seconds(work: Callable[[], Any]) -> float:
    """The wall time of ``work``."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class Cost:
    """What one command took."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    output: str


def run(*command: str) -> Cost:
    """Run a module in a process of its own."""
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    cpu_s = usage.ru_utime + usage.ru_stime
    return Cost(time.perf_counter() - began, cpu_s, usage.ru_maxrss / 1024, output)


def line(name: str, command: tuple[str, ...], run_dir: Path, repeats: int) -> str:
    """A row of the table: without a cache, as after an update of the program, and with it."""
    first: list[Cost] = []
    for _ in range(repeats):
        for cache in (HISTORY_CACHE, RUN_CACHE):
            (run_dir / cache).unlink(missing_ok=True)
        first.append(run(*command))
    later = [run(*command) for _ in range(repeats)]
    cells = [f"{median(getattr(c, unit) for c in of):.2f}" for of in (first, later) for unit in ("wall_s", "cpu_s")]
    peak = max(cost.peak_mib for cost in (*first, *later))
    return f"| {name} | {' | '.join(cells)} | {TARGETS[name]:g} | {peak:.0f} | {MEMORY_MIB} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=("start", "proposals", "appends"), help=argparse.SUPPRESS)
    parser.add_argument("--dir", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        found = {"start": start, "proposals": proposals, "appends": appends}[args.only](args.dir)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as folder:
        table(Path(folder), args.records, args.repeats)


def table(folder: Path, count: int, repeats: int) -> None:
    write_run(folder, count)
    size_mb = (folder / TRAJECTORY).stat().st_size / 1e6
    print(f"### A run of {count:,} records\n\n{describe()}\n")
    print(f"`python -m benchmarks.scale`: {size_mb:.0f} MB, invented; each in its own process, start of Python and")
    print(f"imports included; medians of {repeats}, memory the largest; load average {os.getloadavg()[0]:.1f} on")
    print(f"{len(os.sched_getaffinity(0))} cores at the start: the CPU time is what other work disturbs least\n")
    print("| | without a cache: s | CPU s | with it: s | CPU s | at most | MiB | at most |")
    print("|---|---|---|---|---|---|---|---|")
    itself = ("benchmarks.scale", "--dir", str(folder), "--only")
    print(line("start", (*itself, "start"), folder, repeats))
    for name in ("status", "report", "report --json"):
        print(line(name, ("autoresearch", *name.split(), str(folder)), folder, repeats))
    found = json.loads(run(*itself, "proposals").output)
    print(f"\n| proposal after {count:,} records | first, s | later, s | at most |\n|---|---|---|---|")
    for name, (first, *later) in found.items():
        print(f"| {name} | {first:.3f} | {median(later):.3f} | {PROPOSAL_S} |")
    print("\n| records before | median append, ms |\n|---|---|")
    for before in (count // 100, count // 10, count):
        print(f"| {before:,} | {1000 * append_s(before, itself):.2f} |")


def append_s(before: int, itself: tuple[str, ...]) -> float:
    """The median of the appends to a run of ``before`` records."""
    with tempfile.TemporaryDirectory() as folder:
        write_run(Path(folder), before)
        (Path(folder) / "payload").write_text('{"stage":"resumed","ts":"t","power":{},"paused_s":1.0}')
        found = json.loads(run(itself[0], "--dir", folder, "--only", "appends").output)
        return float(median(found))


if __name__ == "__main__":
    main()
