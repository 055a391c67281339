"""Run every benchmark and write its section of RESULTS.md: ``make bench`` (about a quarter of an hour on 2 cores).

Other sections of that file stay: those of long or rare measurements, such as 2,000 kills or a GPU, are added by hand.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
BENCHMARKS = (
    "overhead",
    "throughput",
    "trainers",
    "seed_noise",
    "error_rates",
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

Written by `make bench`, which replaces the sections that it measures and keeps the others. Each section names the
machine, the date and its own command. Figures of one section come from one run on an otherwise idle machine. Ratios
compare things measured side by side; absolute times are this machine's.
"""


def main() -> None:
    measured = []
    for name in BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        measured.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    RESULTS.write_text(merge(RESULTS.read_text(), "\n".join(measured)))
    print(RESULTS.read_text())


def merge(old: str, measured: str) -> str:
    """The text of RESULTS.md: the measured sections, then those of ``old`` under other headings."""
    sections = sections_by_heading(measured)
    kept = {heading: text for heading, text in sections_by_heading(old).items() if heading not in sections}
    return "\n".join([INTRODUCTION, *(text.rstrip("\n") + "\n" for text in (sections | kept).values())])


def sections_by_heading(text: str) -> dict[str, str]:
    """The sections of third level, each with its heading, in order; what precedes the first is left out."""
    return {part.partition("\n")[0]: part for part in re.split(r"^(?=### )", text, flags=re.MULTILINE)[1:]}


if __name__ == "__main__":
    main()
