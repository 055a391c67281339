"""``autoresearch bench compare``: two bench runs, case by case."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from autoresearch.cli.output import write_file
from autoresearch.cli.parsing import add_command


def add(kinds: Any) -> None:
    """The command ``bench compare``."""
    text = "compare two bench runs case by case: difference, interval, test, and a verdict or `cannot tell`"
    parser = add_command(kinds, "compare", compare, text)
    parser.add_argument("a", metavar="A", help="directory of a bench run")
    parser.add_argument("b", metavar="B", help="directory of the other; differences are B minus A")
    text = "compare incomplete runs: with their missing samples as 0 and as 1"
    parser.add_argument("--bounds", action="store_true", help=text)
    parser.add_argument("--common", action="store_true", help="compare the cases that are the same in both runs")
    parser.add_argument("--html", metavar="FILE", help="write the comparison as one HTML page")
    parser.add_argument("--json", action="store_true", help="print JSON")


def compare(args: argparse.Namespace) -> int:
    """``autoresearch bench compare``. Exit code 76 where the runs cannot be compared."""
    from autoresearch.benches.comparison_text import describe_comparison
    from autoresearch.benches.run_comparison import compare_runs
    from autoresearch.benches.run_directory import read_run
    from autoresearch.cli.bench_run import load_suite

    a, b = read_run(Path(args.a)), read_run(Path(args.b))
    found = compare_runs(a, b, load_suite(a.meta.suite), common=args.common, bounds=args.bounds)
    if args.html:
        from autoresearch.benches.pages import render_comparison

        write_file(Path(args.html), render_comparison(found))
    print(json.dumps(found.as_json(), indent=2) if args.json else describe_comparison(found))
    return 0
