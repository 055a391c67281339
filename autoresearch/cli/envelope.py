"""``autoresearch envelope``: measure how fast this device trains, and say where the answer lies."""

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
    text = "how fast this device trains: batch_size x seq_len x precision; goes on where it was"
    parser = add_command(commands, "envelope", envelope, text)
    add_settings(parser, SETTINGS)
    for flag, kind in (("--batch-size", _sizes), ("--seq-len", _sizes), ("--precision", _words)):
        name = flag[2:].replace("-", "_")
        parser.add_argument(
            flag, type=kind, default=(), metavar="LIST", help=f"{name} to sweep, with commas (default: the menu's)"
        )
    parser.add_argument(
        "--steps", type=_steps, default=20, metavar="N", help="timed steps of each kind per point (default: 20)"
    )
    parser.add_argument("--fresh", action="store_true", help="measure anew; the old points are moved to archive/")
    parser.add_argument("--json", action="store_true", help="print every point as JSON, progress to stderr")
    parser.add_argument(
        "--plot", metavar="FILE", help="the picture, .png or .svg (default: envelope.png beside envelope.jsonl)"
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
    found = sweep(
        settings,
        terminal,
        Axes(args.batch_size, args.seq_len, args.precision),
        Timing(steps=args.steps),
        fresh=args.fresh,
        on_point=lambda number, total, point: terminal.notify(f"{number:>3}/{total}  {format_point(point, width=72)}"),
    )
    terminal.done()
    if args.json:
        print(envelope_json(found.points, found.peaks, found.conditions, found.ended))
    else:
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print(f"\n{render_envelope(found.points, found.peaks, color=color)}\n")
    _where_it_is(found, _plotted(found, plot), sys.stderr if args.json else sys.stdout)
    return 130 if found.ended else 0


def _plotted(found: Any, asked: Path | None) -> Path | None:
    """The picture, where one was asked for or can be drawn; ``None`` if there is none."""
    from autoresearch.report.envelope_plot import check_plot, write_plot

    path = asked or found.path.with_suffix(".png")
    try:
        check_plot(path)
    except AutoresearchError:  # nobody asked for one; what was asked for has been checked
        return None
    if not any(p.speed for p in found.points):
        return None
    c = found.conditions
    write_plot(path, found.points, f"{c['device_kind']}, trainer {c['trainer']}, torch {c['versions'].get('torch')}")
    return path


def _where_it_is(found: Any, plot: Path | None, stream: Any) -> None:
    print(f"envelope  {found.path}", file=stream)
    if plot:
        print(f"plot      {plot}", file=stream)
    batch_size, seq_len, precision = found.baseline
    base = f"the baseline's {batch_size} x {seq_len} {precision}"
    r7 = "these speeds" if found.feeds_r7 else f"FLOPs alone: {base} is not measured"
    print(f"R7 prices time by {r7}", file=stream)
    if found.ended:
        left = found.planned - len(found.points)
        print(f"ended by {found.ended}, {left} of {found.planned} points to go: the same command goes on", file=stream)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in _words(text))
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers as in 4,8,16") from e


def _steps(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_STEPS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MAX_STEPS}")
    return int(text)
