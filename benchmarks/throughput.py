"""Tokens per second of trainer ``torch`` on the CPU against a nanoGPT-style loop of the same shape, in turn.

    python -m benchmarks.throughput [--pairs 5]

A is a real trial through the warm server, as the loop runs it (its own figure, from first forward to last step); B is
``benchmarks.nanogpt_loop`` in a plain Python process, warmed up first, as people run it; C is B in the environment that
the warm server gives its trials (allocator and OpenMP settings). The ratios are taken run by run.
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

from autoresearch.config.resolve import resolve
from autoresearch.core.measurement import Measurement
from autoresearch.daemon.backend import real_backend
from autoresearch.daemon.policy import build_policy
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.trials.server import SERVER_ENV
from benchmarks.machine import describe

STEPS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    pairs = parser.parse_args().pairs
    short = {"budget.size": STEPS, "baseline.lr_warmup": 40, "menu.knobs.lr_warmup.high": 40}
    settings = resolve({"profile": "tiny", **short}, {}).settings
    policy = build_policy(settings)
    threads = len(os.sched_getaffinity(0))
    ours, theirs, tuned = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder)
        backend = real_backend(settings, policy, run_dir, lambda: False, RecordingObserver())
        command = [
            sys.executable,
            "-m",
            "benchmarks.nanogpt_loop",
            str(run_dir / "corpus"),
            json.dumps(policy.baseline),
        ]
        for _ in range(pairs):
            outcome = backend.trial.measure(policy.baseline, 0, lambda *_: None)
            assert isinstance(outcome, Measurement), outcome
            ours.append(outcome.tokens_per_s)
            for figures, more in ((theirs, {}), (tuned, SERVER_ENV)):
                env = {**os.environ, **more}
                full = [*command, str(threads), "3", str(STEPS)]
                done = subprocess.run(full, check=True, capture_output=True, text=True, env=env)
                figures.append(float(done.stdout))
        backend.close()
    print(f"### Trainer torch on the CPU against a nanoGPT-style loop\n\n{describe()}\n")
    command_line = f"`python -m benchmarks.throughput --pairs {pairs}`"
    print(f"{command_line}: profile tiny's baseline, {threads} threads, {STEPS} steps each\n")
    print("| tokens/s | median | min | max |\n|---|---|---|---|")
    kinds = (
        ("A: trainer torch, in a trial", ours),
        ("B: nanoGPT-style loop", theirs),
        ("C: B in the trial server's environment", tuned),
    )
    for name, figures in kinds:
        print(f"| {name} | {statistics.median(figures):,.0f} | {min(figures):,.0f} | {max(figures):,.0f} |")
    for name, others in (("A / B", theirs), ("A / C", tuned)):
        ratios = [a / b for a, b in zip(ours, others, strict=True)]
        print(f"| {name} | {statistics.median(ratios):.2f} | {min(ratios):.2f} | {max(ratios):.2f} |")
    print("| target for A / B | at least 1.00 | | |")


if __name__ == "__main__":
    main()
