"""``autoresearch status`` and ``autoresearch report``: looking at a run, at work or finished."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from autoresearch.cli.output import looks, write_file
from autoresearch.cli.parsing import add_command
from autoresearch.cli.settings import add_run_path, run_path


def add(commands: Any) -> None:
    """The commands ``status`` and ``report``."""
    for name, command, text in (
        ("status", status, "where a run stands: best, counts, last iterations"),
        ("report", report, "all that a run shows, one line per iteration"),
    ):
        parser = add_command(commands, name, command, text)
        add_run_path(parser, "run directory or trajectory.jsonl")
        parser.add_argument("--json", action="store_true", help="print JSON")
        if name == "report":
            parser.add_argument("--out", metavar="FILE", help="write to FILE instead of printing")


def status(args: argparse.Namespace) -> int:
    """``autoresearch status``."""
    return _look(args, "status")


def report(args: argparse.Namespace) -> int:
    """``autoresearch report``."""
    return _look(args, "report")


def _look(args: argparse.Namespace, kind: str) -> int:
    from autoresearch.report import load, render_report, render_status, summarise, summary_json

    path = run_path(args)
    history = load(path)
    summary = summarise(history)
    if args.json:
        text = summary_json(summary)
    else:
        render = render_status if kind == "status" else render_report
        text = render(summary, history, **looks(path, bool(getattr(args, "out", None)))) + _flag_line(path)
    if getattr(args, "out", None):
        write_file(Path(args.out), f"{text.rstrip()}\n")
    else:
        print(text.rstrip())
    return 0


def _flag_line(path: Path) -> str:
    from autoresearch.control import FLAG

    asked = path.is_dir() and os.path.lexists(path / FLAG)
    return f"\n{FLAG} is there: `autoresearch resume` removes it\n" if asked else ""
