"""``autoresearch envelope``: measure how fast this device trains, and print where the results are."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from autoresearch.cli.parsing import add_command
from autoresearch.cli.settings import add_settings, resolve_args
from autoresearch.errors import AutoresearchError

MAX_STEPS = 100_000  # of `--steps`
SETTINGS = ("profile", "dir", "corpus", "trainer", "device")  # a run's other flags change no speed


def add(commands: Any) -> None:
    """The command ``envelope``."""
    text = "how fast this device trains: batch_size x seq_len x precision; resumes a sweep"
    parser = add_command(commands, "envelope", envelope, text)
    add_settings(parser, SETTINGS)
    for flag, kind in (("--batch-size", _sizes), ("--seq-len", _sizes), ("--precision", _split)):
        name = flag[2:].replace("-", "_")
        parser.add_argument(
            flag, type=kind, default=(), metavar="LIST", help=f"{name} to sweep, with commas (default: the menu's)"
        )
    parser.add_argument(
        "--steps", type=_steps, default=20, metavar="N", help="timed steps of each kind per point (default: 20)"
    )
    parser.add_argument("--fresh", action="store_true", help="measure again; the old points are moved to archive/")
    parser.add_argument("--json", action="store_true", help="print every point as JSON, progress to stderr")
    parser.add_argument(
        "--plot", metavar="FILE", help="the plot, .png or .svg (default: envelope.png beside envelope.jsonl)"
    )


def envelope(args: argparse.Namespace) -> int:
    """``autoresearch envelope``."""
    from autoresearch.core.speeds import Timing
    from autoresearch.daemon.envelope import Axes, sweep
    from autoresearch.daemon.observers.terminal import Terminal
    from autoresearch.report.envelope_plot import check_plot
    from autoresearch.report.envelope_text import envelope_json, format_point, render_envelope

    settings = resolve_args(args).settings
    plot = Path(args.plot) if args.plot else None
    if plot:
        check_plot(plot)
    terminal = Terminal(0, sys.stderr if args.json else sys.stdout)
    result = sweep(
        settings,
        terminal,
        Axes(args.batch_size, args.seq_len, args.precision),
        Timing(steps=args.steps),
        fresh=args.fresh,
        on_point=lambda number, total, point: terminal.notify(f"{number:>3}/{total}  {format_point(point, width=72)}"),
    )
    terminal.done()
    if args.json:
        print(envelope_json(result.points, result.peaks, result.conditions, result.ended))
    else:
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print(f"\n{render_envelope(result.points, result.peaks, color=color)}\n")
    _print_paths(result, _draw_plot(result, plot), sys.stderr if args.json else sys.stdout)
    return 130 if result.ended else 0


def _draw_plot(result: Any, requested: Path | None) -> Path | None:
    """Draw the requested plot, or the default one where matplotlib is installed; ``None`` if none was drawn."""
    from autoresearch.report.envelope_plot import check_plot, write_plot

    path = requested or result.path.with_suffix(".png")
    try:
        check_plot(path)
    except AutoresearchError:  # only the default plot is skipped: a requested one was checked before the sweep
        return None
    if not any(p.speed for p in result.points):
        return None
    c = result.conditions
    write_plot(path, result.points, f"{c['device_kind']}, trainer {c['trainer']}, torch {c['versions'].get('torch')}")
    return path


def _print_paths(result: Any, plot: Path | None, stream: Any) -> None:
    print(f"envelope  {result.path}", file=stream)
    if plot:
        print(f"plot      {plot}", file=stream)
    batch_size, seq_len, precision = result.baseline
    base = f"the baseline's {batch_size} x {seq_len} {precision}"
    r7 = "these speeds" if result.prices_r7 else f"FLOPs alone: {base} is not measured"
    print(f"R7 estimates time from {r7}", file=stream)
    if result.ended:
        left = result.planned - len(result.points)
        print(
            f"ended by {result.ended}, {left} of {result.planned} points to go: the same command resumes", file=stream
        )


def _split(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in _split(text))
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers, for example 4,8,16") from e


def _steps(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_STEPS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MAX_STEPS}")
    return int(text)
