"""Draw docs/img/false-keeps.svg and docs/img/power.svg from what ``autoresearch bench`` printed with ``--json``.

python -m benchmarks.error_rate_plots AA.json PLANTED.json [more.json ...]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "docs" / "img"
COLORS = {
    "sequential": "#1b7f4d",
    "threshold": "#c0392b",
    "best_so_far": "#8e6bbf",
    "mean_minus_sd": "#d68910",
    "record": "#2c6fbb",
}
NAMES = {
    "sequential": "ours",
    "best_so_far": "best so far",
    "mean_minus_sd": "mean minus 1 SD",
}


def main(files: Sequence[str]) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "autoresearch", "font.size": 9, "svg.fonttype": "none"}
    cells = [cell for file in files for cell in json.loads(Path(file).read_text())["cells"]]
    draw(
        FOLDER / "false-keeps.svg",
        [c for c in cells if c["gain"] == 0],
        ("rho", "p_any_false_keep"),
        ("same-seed correlation", "P(any false keep in a night)"),
    )
    draw(
        FOLDER / "power.svg",
        [c for c in cells if c["gain"] and c["rho"] == 0.67],
        ("gain", "power"),
        ("true gain (correlation 0.67)", "P(kept)"),
    )


def draw(path: Path, cells: Sequence[dict[str, Any]], fields: tuple[str, str], labels: tuple[str, str]) -> None:
    """One panel a noise, one line a rule."""
    from matplotlib import pyplot as plt

    noises = list(dict.fromkeys(c["noise"] for c in cells))
    figure, axes = plt.subplots(1, len(noises), figsize=(2.4 * len(noises), 2.9), sharey=True, layout="constrained")
    for panel, noise in zip(axes, noises, strict=True):
        for rule, color in COLORS.items():
            line = [c for c in cells if (c["noise"], c["rule"]) == (noise, rule)]
            if line:
                x, y = ([c[field] for c in line] for field in fields)
                panel.plot(x, y, "o-", color=color, label=NAMES.get(rule, rule), markersize=3)
        if fields[0] == "rho":
            panel.axhline(0.05, color="gray", linestyle=":", linewidth=1)
        panel.set(title=noise, xlabel=labels[0], ylim=(-0.03, 1.03))
    axes[0].set_ylabel(labels[1])
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main(sys.argv[1:])
