"""``autoresearch watch``: show a run live in a terminal."""

from __future__ import annotations

import argparse
import io
import os
import sys
from contextlib import closing
from typing import Any

from autoresearch.cli.parsing import add_command
from autoresearch.cli.settings import add_run_path, run_path

WIDTH = 80  # columns without a terminal


def add(commands: Any) -> None:
    """The command ``watch``."""
    parser = add_command(commands, "watch", watch, "show a run live in a terminal; q quits, the run continues")
    add_run_path(parser, "run directory or trajectory.jsonl")
    parser.add_argument("--once", action="store_true", help="print one frame and exit, as without a terminal")


def watch(args: argparse.Namespace) -> int:
    """``autoresearch watch``."""
    from rich.console import Console

    from autoresearch.report.watch.frame import render_frame
    from autoresearch.report.watch.screen import Screen, unwrapped
    from autoresearch.report.watch.snapshot import SnapshotReader

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a character shows a replacement
    on_terminal = sys.stdout.isatty()
    console = Console(highlight=False, markup=False, emoji=False, width=None if on_terminal else WIDTH)
    with closing(SnapshotReader(run_path(args))) as reader:
        if on_terminal and not args.once and os.environ.get("TERM", "dumb") not in ("dumb", "unknown"):
            Screen(console, lambda width, height: render_frame(reader.poll(), width, height)).run()
            return 0
        snapshot = reader.poll()
    console.print(unwrapped(render_frame(snapshot, console.width)))
    return snapshot.problem.exit_code if snapshot.problem else 0
