"""``autoresearch status`` and ``autoresearch report``: show a run, in progress or finished."""

from __future__ import annotations

import argparse
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from autoresearch.cli.output import render_options, write_file
from autoresearch.cli.parsing import add_command
from autoresearch.cli.settings import add_run_path, run_path
from autoresearch.errors import ConfigError, JournalDamaged, JournalError, missing_extra
from autoresearch.hints import command as run_command
from autoresearch.machine import without_gc
from autoresearch.storage.run_dir import PAUSE_FLAG, TRAJECTORY, has_writer

PAGE = "report.html"


def add(commands: Any) -> None:
    """The commands ``status`` and ``report``."""
    for name, command, text in (
        ("status", status, "state of a run: best, counts, last iterations"),
        ("report", report, "the whole run, one line per iteration"),
    ):
        parser = add_command(commands, name, command, text)
        add_run_path(parser, "run directory or trajectory.jsonl")
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="print JSON")
        if name == "report":
            parser.add_argument("other", nargs="?", metavar="OTHER", help="a second run: compare the two")
            form.add_argument("--html", action="store_true", help=f"write one HTML file (default RUN/{PAGE})")
            parser.add_argument("--out", metavar="FILE", help="write to FILE instead of printing")
            parser.add_argument("--price-per-kwh", type=_price, metavar="PRICE", help="with --html: price of a kWh")
            parser.add_argument("--currency", default="", help="currency of the price, for example EUR")


def _price(text: str) -> float:
    """Parse a price; a type for argparse."""
    value = float(text)
    if not 0 <= value < 1e9:  # false for NaN
        raise argparse.ArgumentTypeError(f"{text} is not a price of 0 or more")
    return value


def status(args: argparse.Namespace) -> int:
    """``autoresearch status``."""
    with without_gc():
        return _print_text(args, "status")


def report(args: argparse.Namespace) -> int:
    """``autoresearch report``. Raises ``ConfigError`` for a price where none is shown."""
    if not args.html and (args.price_per_kwh is not None or args.currency):
        what = "--price-per-kwh and --currency only apply to the HTML page, and --html is not given"
        raise ConfigError(what, hint="add --html; for the text report run with --set energy.price_per_kwh=0.30")
    if args.other:
        return _compare(args)
    with without_gc():
        return _write_page(args) if args.html else _print_text(args, "report")


def _compare(args: argparse.Namespace) -> int:
    """Compare two runs. Raises ``ConfigError`` for one run named twice, and for a page without a place or a price."""
    from autoresearch.report import load
    from autoresearch.report.comparison import compare, comparison_json
    from autoresearch.report.comparison_text import render_comparison

    paths = (Path(args.path), Path(args.other))
    if args.html and not args.out:
        what = "a page of two runs belongs to neither of their directories, and --out is not given"
        raise ConfigError(what, hint="add --out FILE, for example --out comparison.html")
    if args.price_per_kwh is not None or args.currency:
        what = "--price-per-kwh and --currency only apply to the page of one run, and two are named"
        raise ConfigError(what, hint="leave them out")
    if _is_same_log(*paths):
        raise ConfigError(f"{paths[0]} and {paths[1]} are the same run", hint="name two different runs")
    with without_gc():
        live = (has_writer(paths[0]), has_writer(paths[1]))
        comparison = compare(load(paths[0]), load(paths[1]), (args.path, args.other), live)
    if args.html:
        write_file(Path(args.out), _html().render_comparison_html(comparison))
        print(args.out)
        return 0
    if args.json:
        text = comparison_json(comparison)
    else:
        options = render_options(paths[0], bool(args.out))
        text = render_comparison(comparison, width=options["width"], color=options["color"])
    _print(args, text)
    return 0


def _html() -> Any:
    """The package of the pages. Raises ``MissingPackage``."""
    try:
        import autoresearch.report.html as html
    except ImportError as e:
        raise missing_extra("--html", e.name or "bokeh", "report") from e
    return html


def _is_same_log(*paths: Path) -> bool:
    files = [path / TRAJECTORY if path.is_dir() else path for path in paths]
    return all(file.exists() for file in files) and files[0].samefile(files[1])


def _write_page(args: argparse.Namespace) -> int:
    """Write the HTML report and print its path."""
    from autoresearch.report import load, summarise

    html = _html()
    path = run_path(args)
    out = Path(args.out) if args.out else path / PAGE if path.is_dir() else path.with_suffix(".html")
    history = load(path)
    price = None if args.price_per_kwh is None else html.Price(args.price_per_kwh, args.currency)
    text = html.render_html(summarise(history), history, price)
    write_file(out, text)
    print(out)
    return 0


def _print_text(args: argparse.Namespace, kind: str) -> int:
    from autoresearch.report import load, render_report, render_status, summarise, summary_json
    from autoresearch.report.end_time import describe_end
    from autoresearch.report.live_wait import live_wait, not_begun, with_wait
    from autoresearch.report.watch.several_trials import several_trials, trial_lines
    from autoresearch.storage.progress_file import read_progress

    path = run_path(args)
    waits = live_wait(path) if path.is_dir() else ""
    try:
        history = with_wait(load(path), waits)
    except JournalDamaged:
        raise
    except JournalError as e:
        raise not_begun(e, waits) from e
    summary = summarise(history, brief=kind == "status" and not args.json)
    if args.json:
        text = summary_json(summary)
    else:
        render = render_status if kind == "status" else render_report
        options = render_options(path, bool(getattr(args, "out", None)))
        text = render(summary, history, **options) + _flag_line(path)
        if kind == "status" and options.get("writer_alive") is not False:
            now = datetime.now().astimezone()
            trials = several_trials(history, read_progress(path) if path.is_dir() else None, now)
            lines = "".join(f"\n{line}" for line in trial_lines(trials, options["width"]))
            text = f"{text.rstrip()}\n{lines}\n{describe_end(history, now)}"
    _print(args, text)
    return 0


def _print(args: argparse.Namespace, text: str) -> None:
    if getattr(args, "out", None):
        write_file(Path(args.out), f"{text.rstrip()}\n")
    else:
        print(text.rstrip())


def _flag_line(path: Path) -> str:
    exists = path.is_dir() and os.path.lexists(path / PAUSE_FLAG)
    return f"\n{PAUSE_FLAG} exists: `{run_command('resume', path)}` removes it\n" if exists else ""
