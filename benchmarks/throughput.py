"""Tokens per second of trainer ``torch`` on the CPU against a nanoGPT-style loop of the same shape, in turn.

    python -m benchmarks.throughput [--pairs 5]

A is a real trial through the warm server, as the loop runs it (its own figure, from first forward to last step); B is
``benchmarks.nanogpt_loop`` in a plain Python process, warmed up first. The ratio is taken pair by pair.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from autoresearch.bench import real_bench
from autoresearch.config import resolve
from autoresearch.policy import policy_of
from autoresearch.records import Measurement
from autoresearch.testing import SilentWatcher
from benchmarks.machine import describe

STEPS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    pairs = parser.parse_args().pairs
    short = {"budget.size": STEPS, "baseline.lr_warmup": 40, "menu.knobs.lr_warmup.high": 40}
    settings = resolve({"profile": "tiny", **short}, {}).settings
    policy = policy_of(settings)
    threads = len(os.sched_getaffinity(0))
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder)
        bench = real_bench(settings, policy, run_dir, lambda: False, SilentWatcher())
        command = [
            sys.executable,
            "-m",
            "benchmarks.nanogpt_loop",
            str(run_dir / "corpus"),
            json.dumps(policy.baseline),
        ]
        for _ in range(pairs):
            outcome = bench.trial.measure(policy.baseline, 0, lambda *_: None)
            assert isinstance(outcome, Measurement), outcome
            ours.append(outcome.tokens_per_s)
            done = subprocess.run([*command, str(threads), "3", str(STEPS)], check=True, capture_output=True, text=True)
            theirs.append(float(done.stdout))
        bench.close()
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(f"### Trainer torch on the CPU against a nanoGPT-style loop\n\n{describe()}\n")
    command_line = f"`python -m benchmarks.throughput --pairs {pairs}`"
    print(f"{command_line}: profile tiny's baseline, {threads} threads, {STEPS} steps each\n")
    print("| tokens/s | median | min | max |\n|---|---|---|---|")
    for name, figures in (("trainer torch, in a trial", ours), ("nanoGPT-style loop", theirs)):
        print(f"| {name} | {statistics.median(figures):,.0f} | {min(figures):,.0f} | {max(figures):,.0f} |")
    print(f"| ratio, pair by pair | {statistics.median(ratios):.2f} | {min(ratios):.2f} | {max(ratios):.2f} |")
    print("| target for the ratio | at least 1.00 | | |")


if __name__ == "__main__":
    main()
