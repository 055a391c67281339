"""``autoresearch bench tonight``: the page for the morning, from bench runs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from autoresearch.cli.bench_run import load_suite
from autoresearch.cli.output import write_file
from autoresearch.cli.parsing import add_command


def add(kinds: Any) -> None:
    """The command ``bench tonight``."""
    text = "what should drive the loop tonight: one verdict and one command from bench runs, with their numbers"
    parser = add_command(kinds, "tonight", tonight, text)
    text = "directories of bench runs: of the suite proposer on one table, and any of the other suites"
    parser.add_argument("runs", nargs="+", metavar="RUN", help=text)
    parser.add_argument("--html", metavar="FILE", help="write the page as one HTML file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def tonight(args: argparse.Namespace) -> int:
    """``autoresearch bench tonight``. Exit code 76 for proposers that were measured on other tables."""
    from autoresearch.benches.tonight.collect import collect_evidence
    from autoresearch.benches.tonight.text import describe_evidence

    found = collect_evidence([Path(run) for run in args.runs], load_suite)
    if args.html:
        from autoresearch.benches.pages import render_tonight

        write_file(Path(args.html), render_tonight(found))
    print(json.dumps(found.as_json(), indent=2) if args.json else describe_evidence(found))
    return 0
