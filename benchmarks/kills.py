"""Storms of SIGKILL: daemons with fake trials, each killed at a random moment, until their runs are complete.

python -m benchmarks.kills --kills 10000

The daemons and the laws that a run must then satisfy are those of tests/fault/test_kill.py. A violation ends this
program with its storm's seed and leaves the run directory for inspection. Not part of `make bench`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.machine import describe
from tests.fault.test_kill import DAEMON, check_whole

ITERS = 40  # of one storm: about 90 kills, so that most runs are killed at every stage of their life


def storm(directory: Path, seed: int) -> Counter[str]:
    """One storm in ``directory``, its counts; raises ``AssertionError`` where a law is broken."""
    command = [sys.executable, str(DAEMON), "storm", str(directory), str(ITERS), str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    counts = json.loads(done.stdout)
    records = check_whole(directory, ITERS, counts["acknowledged"])
    return Counter(
        kills=counts["kills"], torn=counts["torn"], acknowledged=len(counts["acknowledged"]),
        records=len(records), runs=1,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10_000, help="at least this many (default 10000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first storm (default 0)")
    args = parser.parse_args()
    total: Counter[str] = Counter()
    began, seed = time.monotonic(), args.seed
    while total["kills"] < args.kills:
        directory = Path(tempfile.mkdtemp(prefix="autoresearch-kills-"))
        try:
            total += storm(directory / "run", seed)
        except BaseException:
            print(f"storm with seed {seed} failed; its run is in {directory}", file=sys.stderr)
            raise
        shutil.rmtree(directory)
        seed += 1
        print(f"{total['kills']} kills", file=sys.stderr, flush=True)
    minutes = (time.monotonic() - began) / 60
    print(f"### SIGKILL at random moments\n\n{describe()}\n")
    print(f"`python -m benchmarks.kills --kills {args.kills} --seed {args.seed}`: {minutes:.0f} min, fake trials\n")
    print("| | |\n|---|---|")
    for name, value in (
        ("daemons killed", total["kills"]),
        (f"runs of {ITERS} iterations, each completed after its kills", total["runs"]),
        ("half-written lines added between two lives, as by a power failure", total["torn"]),
        ("records acknowledged before a kill or the end", total["acknowledged"]),
        ("records in the completed journals", total["records"]),
        ("acknowledged records lost, doubled or out of order", 0),
        ("iterations lost, proposed twice, or tried twice", 0),
    ):
        print(f"| {name} | {value:,} |")


if __name__ == "__main__":
    main()
