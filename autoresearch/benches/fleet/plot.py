"""The figures of ``bench fleet`` as a plot: efficiency by level, and curves. Needs matplotlib, imported when called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

from autoresearch.benches.fleet.levels import LevelRow
from autoresearch.benches.search.curve_plot import DASHES, save_plot
from autoresearch.proposers.cube import Array

Label = tuple[str, int]  # proposer, workers


def write_fleet_plot(
    path: Path, levels: Sequence[LevelRow], curves: Mapping[Label, tuple[Array, Array, Array]]
) -> None:
    """``curves``: trials, mean and standard error of each. Raises ``AutoresearchError`` if it cannot be written."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "autoresearch"  # the same figures give the same file
    figure = Figure(figsize=(10, 4.5), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    colours = {}
    for (label, (trials, mean, error)), dash in zip(curves.items(), cycle(DASHES), strict=False):
        (line,) = left.plot(trials, mean, linestyle=dash, linewidth=1.4, label=_words(label))
        left.fill_between(trials, mean - error, mean + error, color=line.get_color(), alpha=0.15, linewidth=0)
        colours[label] = line.get_color()
    left.set_xscale("log")
    left.set_xlabel("trials that ended")
    left.set_ylabel("true mean, with one standard error")
    left.legend(fontsize=8)
    for label, colour in colours.items():
        if not (rows := [r for r in levels if (r.proposer, r.workers) == label]):
            continue  # the serial run
        at = [r.serial_trials for r in rows]
        right.plot(at, [r.efficiency for r in rows], marker="o", color=colour, label=_words(label))
        right.fill_between(at, [r.low for r in rows], [r.high for r in rows], color=colour, alpha=0.15, linewidth=0)
        right.plot(at, [r.delay_alone for r in rows], color=colour, linestyle=":", linewidth=1)
    right.set_ylim(0, 1.3)
    right.set_xlabel("serial trials whose level is reached")
    right.set_ylabel("efficiency, 95% interval; dotted: delay alone")
    right.legend(fontsize=8)
    save_plot(figure, path)


def _words(label: Label) -> str:
    return f"{label[0]}, {label[1]:,} workers" if label[1] > 1 else f"{label[0]}, serial"
