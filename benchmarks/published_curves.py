"""Validation curves of modded-nanogpt's published logs as CSV for ``autoresearch bench stop``.

    git clone https://github.com/KellerJordan/modded-nanogpt
    python -m benchmarks.published_curves modded-nanogpt track_3_optimization > curves.csv

A group is a folder of logs with at least two complete runs, a run is a log. The runs are not paired by seed.
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections import Counter

LINE = re.compile(rb"(?:step:|s:)(\d+)/(\d+) val_loss:([\d.]+)")
MIN_POINTS = 8


def git(repository: str, *args: str) -> bytes:
    return subprocess.run(["git", "-C", repository, *args], check=True, capture_output=True).stdout


def main() -> None:
    repository, track = sys.argv[1:]
    folder = f"records/{track}/"
    names = git(repository, "ls-tree", "-r", "--name-only", "HEAD", folder).decode().splitlines()
    curves = {}
    for name in names:
        if name.endswith((".txt", ".log")):
            found = LINE.findall(git(repository, "show", f"HEAD:{name}"))
            curve = {int(step) / int(steps): float(loss) for step, steps, loss in found if 0 < int(step) <= int(steps)}
            if len(curve) >= MIN_POINTS and 1.0 in curve:
                curves[name] = curve
    runs = Counter(name.rpartition("/")[0] for name in curves)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["group", "run", "fraction", "value"])
    for name, curve in sorted(curves.items()):
        group, _, run = name.rpartition("/")
        if runs[group] >= 2:
            out.writerows([group.removeprefix(folder), run, f"{f:.5g}", loss] for f, loss in sorted(curve.items()))


if __name__ == "__main__":
    main()
