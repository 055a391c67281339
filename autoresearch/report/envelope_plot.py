"""The envelope as a plot: tokens/s and MFU over the tokens per step. Needs matplotlib, imported when called."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.core.speeds import Point, Speed
from autoresearch.errors import AutoresearchError, ConfigError, missing_extra
from autoresearch.storage.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes


SUFFIXES = (".png", ".svg")
# Precision sets colour and line, seq_len the marker, random tokens are hollow: all readable without colour.
STYLES: dict[str, tuple[str, Any]] = {
    "fp32": ("black", "-"),
    "bf16": ("#1f5fa8", (0, (6, 2))),
    "fp8": ("#b03a2e", (0, (2, 2))),
}
MARKERS = "os^Dvp*"
MAX_LEVEL_TICKS = 8
HOLLOW: dict[str, Any] = {"markerfacecolor": "none", "markersize": 10, "markeredgewidth": 0.9}


def check_plot(path: Path) -> None:
    """Check before a sweep. Raises ``ConfigError`` for another file format, ``MissingPackage`` without matplotlib."""
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"--plot {path} is not a .png or .svg file", hint=f"end its name in {' or '.join(SUFFIXES)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError as e:
        raise missing_extra("--plot", e.name or "matplotlib", "plot") from e


def write_plot(path: Path, points: Sequence[Point], title: str) -> None:
    """Draw the measured points into ``path``, .png or .svg. Raises ``AutoresearchError`` if it cannot be written."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7.5), dpi=120, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    measured = [(p, p.speed) for p in points if p.speed]
    seq_lens = sorted({p.seq_len for p, _ in measured})
    markers = {seq_len: MARKERS[i % len(MARKERS)] for i, seq_len in enumerate(seq_lens)}
    for precision in dict.fromkeys(p.precision for p, _ in measured):
        for seq_len in seq_lens:
            line = sorted(
                ((p, s) for p, s in measured if (p.precision, p.seq_len) == (precision, seq_len)),
                key=lambda pair: pair[0].tokens_per_step,
            )
            _draw_line(above, below, line, precision, markers[seq_len])
    _format_axes(above, below, [p for p, _ in measured])
    figure.suptitle(title, fontsize=10)
    picture = BytesIO()
    figure.savefig(picture, format=path.suffix[1:], facecolor="white")
    try:
        atomic_write(path, picture.getvalue())
    except OSError as e:
        raise AutoresearchError(f"cannot write {path}: {e.strerror}", hint="name another file with --plot") from e


def _draw_line(above: Axes, below: Axes, mine: Sequence[tuple[Point, Speed]], precision: str, marker: str) -> None:
    """One precision and seq_len: filled markers for the corpus, hollow ones for random tokens; MFU of the corpus."""
    if not mine:
        return
    color, dashes = STYLES.get(precision, ("black", "-"))
    x = [p.tokens_per_step for p, _ in mine]
    label = f"{precision}, seq_len {mine[0][0].seq_len}"
    real = [s.real_tokens_per_s for _, s in mine]
    random = [s.random_tokens_per_s for _, s in mine]
    above.plot(x, real, color=color, linestyle=dashes, marker=marker, markersize=5, linewidth=1.3, label=label)
    above.plot(x, random, color=color, linestyle="none", marker=marker, **HOLLOW)
    if with_mfu := [(p.tokens_per_step, 100 * p.mfu) for p, _ in mine if p.mfu is not None]:
        below.plot(
            *zip(*with_mfu, strict=True), color=color, linestyle=dashes, marker=marker, markersize=5, linewidth=1.3
        )


def _format_axes(above: Axes, below: Axes, points: Sequence[Point]) -> None:
    """Axes from zero, so that ratios are visible; a binary log scale for the tokens per step."""
    above.plot([], [], color="black", linestyle="none", marker="o", markersize=5, label="filled: corpus")
    above.plot([], [], color="black", linestyle="none", marker="o", label="hollow: random tokens", **HOLLOW)
    ticks = sorted({p.tokens_per_step for p in points})
    below.set_xscale("log", base=2)
    below.set_xticks(ticks, [f"{t:,}" for t in ticks], rotation=45 if len(ticks) > MAX_LEVEL_TICKS else 0)
    below.minorticks_off()
    below.set_xlabel("tokens in a step (batch_size x seq_len)")
    above.set_ylabel("tokens/s")
    below.set_ylabel("MFU, % of the measured matmul peak")
    above.yaxis.set_major_formatter(lambda value, _position: f"{value:,.0f}")
    for panel in (above, below):
        panel.set_ylim(bottom=0)
        panel.grid(color="0.85", linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    above.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
