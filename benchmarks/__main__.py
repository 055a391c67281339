"""Run every benchmark and write RESULTS.md: ``make bench`` (about a quarter of an hour on 2 cores)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
BENCHMARKS = (
    "overhead",
    "throughput",
    "trainers",
    "seed_noise",
    "verdicts",
    "prompt",
    "doctor",
    "html_report",
    "pause_latency",
    "metering",
    "start_to_ready",
    "scale",
    "prepare",
)
INTRODUCTION = """# Results

Written by `make bench`; each section names the machine, the date and its own command. Figures of one section come from
one run on an otherwise idle machine. Ratios compare things measured side by side; absolute times are this machine's.
"""


def main() -> None:
    sections = [INTRODUCTION]
    for name in BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        sections.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    RESULTS.write_text("\n".join(sections))
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
