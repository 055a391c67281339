"""Overhead per iteration: wall time without proposing, training and validation, with a process per trial.

    python -m benchmarks.overhead [--iters 60]

The real service on the embedded default's model and corpus; only the training budget is shortened, which overhead does
not contain. The origin, without isolation, needed 0.655 s.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from autoresearch.core.records import Evaluated, decode
from autoresearch.storage.journal import read
from benchmarks.machine import describe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iters", type=int, default=60)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        command = [sys.executable, "-m", "autoresearch", "run", "--dir", str(run_dir), "--iters", str(args.iters)]
        quick = ("budget.size=12", "baseline.lr_warmup=0", "menu.knobs.lr_warmup.high=1", "eval.bytes=8192")
        subprocess.run([*command, *(f"--set={s}" for s in quick)], check=True, stdout=subprocess.DEVNULL)
        records = [decode(p) for p in read(run_dir / "trajectory.jsonl").payloads]
    overheads = [r.overhead_s for r in records if isinstance(r, Evaluated)]
    ordered = sorted(overheads)
    print(f"### Overhead per iteration\n\n{describe()}\n")
    print(f"`python -m benchmarks.overhead --iters {args.iters}`: {len(overheads)} iterations, a process per trial\n")
    print("| | seconds |\n|---|---|")
    print(f"| median | {statistics.median(overheads):.3f} |\n| mean | {statistics.fmean(overheads):.3f} |")
    print(f"| 5% to 95% | {ordered[len(ordered) // 20]:.3f} to {ordered[-1 - len(ordered) // 20]:.3f} |")
    print("| target | at most 0.100 |\n| the origin, without a process per trial | 0.655 |")


if __name__ == "__main__":
    main()
