"""The morning report of 10,000 iterations: seconds to write it, its size, and the time until a browser shows it.

python -m benchmarks.html_report
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.long_night import write_long_night
from benchmarks.machine import describe
from tests.browser import CHROMIUM, DRIVER, MISSING, Browser, browser

SIZES = (1_000, 10_000)
REPEATS = 5
TARGETS = {"write": 3.0, "size": 5.0, "paint": 1.0}
WINDOW = (1280, 900)
PAINTED = """(() => {
  const first = performance.getEntriesByName('first-contentful-paint')[0];
  return first && Plots.shown.has('course') ? first.startTime : 0;
})()"""

DRAWN = "return performance.getEntriesByName('course', 'mark')[0].startTime"


def write(log: Path, page: Path) -> float:
    """The wall time of the command, including the start of the interpreter and the imports."""
    command = [sys.executable, "-m", "autoresearch", "report", str(log), "--html", "--out", str(page)]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def paint(chromium: Browser, page: Path) -> tuple[float, float]:
    """Seconds from the navigation to the first content, and to the first interactive plot."""
    chromium.open(page)
    first_ms = chromium.wait(PAINTED)
    return first_ms / 1000, chromium.run(DRAWN) / 1000


def main() -> None:
    print(f"### The morning report as HTML\n\n{describe()}\n")
    print(f"`python -m benchmarks.html_report`: an invented night, medians of {REPEATS}\n")
    print("| iterations | trajectory MB | write s | largest | page MB | first paint s | largest | first plot s |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for iterations in SIZES:
            print(line(Path(folder), iterations))
    print(f"| target for 10,000 | | at most {TARGETS['write']:g} | | at most {TARGETS['size']:g} | at most ", end="")
    print(f"{TARGETS['paint']:g} | | |")
    if not CHROMIUM or not DRIVER:
        print(f"\nNo paint was measured: {MISSING}.")


def line(folder: Path, iterations: int) -> str:
    log, page = folder / f"{iterations}.jsonl", folder / f"{iterations}.html"
    write_long_night(log, iterations)
    times = [write(log, page) for _ in range(REPEATS)]
    cells = [f"{iterations:,}", _mb(log), f"{statistics.median(times):.2f}", f"{max(times):.2f}", _mb(page)]
    return "| " + " | ".join([*cells, *_paints(folder, page)]) + " |"


def _paints(folder: Path, page: Path) -> list[str]:
    if not CHROMIUM or not DRIVER:
        return ["-", "-", "-"]
    with browser(folder) as chromium:
        chromium.emulate(*WINDOW)
        firsts, plots = zip(*[paint(chromium, page) for _ in range(REPEATS)], strict=True)
    return [f"{statistics.median(firsts):.2f}", f"{max(firsts):.2f}", f"{statistics.median(plots):.2f}"]


def _mb(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.2f}"


if __name__ == "__main__":
    main()
