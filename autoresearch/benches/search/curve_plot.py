"""The curves of ``bench search`` as a plot. Needs matplotlib, imported when called."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Any

from autoresearch.benches.search.curves import OURS, Curve
from autoresearch.errors import AutoresearchError, ConfigError, missing_extra
from autoresearch.storage.files import atomic_write

SUFFIXES = (".png", ".svg")
DASHES = ("-", (0, (6, 2)), (0, (2, 2)), (0, (6, 2, 1, 2)))


def check_plot(path: Path) -> None:
    """Check before the nights. Raises ``ConfigError`` for another format, ``MissingPackage`` without matplotlib."""
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"--plot {path} is not a .png or .svg file", hint=f"end its name in {' or '.join(SUFFIXES)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError as e:
        raise missing_extra("--plot", e.name or "matplotlib", "plot") from e


def write_plot(path: Path, curves: Mapping[str, Curve], default: float) -> None:
    """The mean over seeds with a band of one standard error. Raises ``AutoresearchError`` if it cannot be written."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "autoresearch"  # the same curves give the same file
    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for (name, curve), dash in zip(curves.items(), cycle(DASHES), strict=False):
        (line,) = axes.plot(
            curve.trials, curve.mean, linestyle=dash, linewidth=2.2 if name == OURS else 1.2, label=name
        )
        if curve.seeds > 1:
            pairs = [(m, s or 0.0) for m, s in zip(curve.mean, curve.se, strict=True)]
            low, high = [m - s for m, s in pairs], [m + s for m, s in pairs]
            axes.fill_between(curve.trials, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.axhline(default, color="grey", linewidth=0.8, label="the default")
    axes.set_xlabel("trials")
    axes.set_ylabel("true mean of what would be handed over (lower is better)")
    axes.legend(fontsize=8, ncols=2)
    save_plot(figure, path)


def save_plot(figure: Any, path: Path) -> None:
    """Write a figure. Raises ``AutoresearchError`` if it cannot be written."""
    picture = BytesIO()
    figure.savefig(
        picture, format=path.suffix[1:], facecolor="white", metadata={"Date": None} if path.suffix == ".svg" else None
    )
    try:
        atomic_write(path, picture.getvalue())
    except OSError as e:
        raise AutoresearchError(f"cannot write {path}: {e.strerror}", hint="name another file with --plot") from e
