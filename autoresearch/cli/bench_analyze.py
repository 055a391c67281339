"""``autoresearch bench analyze`` and ``diagnose``: the figures of one bench run, from its records alone."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.output import write_file
from autoresearch.cli.parsing import add_command
from autoresearch.errors import AutoresearchError, ConfigError, MissingPackage

if TYPE_CHECKING:
    from autoresearch.benches.analysis import Analysis
    from autoresearch.benches.ports import BenchRun, Suite

PAGE = "bench.html"


def add(kinds: Any) -> None:
    """The commands ``bench analyze`` and ``bench diagnose``."""
    text = "the figures of a bench run, with every planned sample in every denominator; writes RUN/bench.html"
    parser = add_command(kinds, "analyze", analyze, text)
    parser.add_argument("run", metavar="RUN", help="directory of a bench run")
    parser.add_argument("--html", metavar="FILE", help=f"write the page to FILE instead of RUN/{PAGE}")
    parser.add_argument("--no-html", action="store_true", help="write no page")
    text = "majority@k of suite samples: by the normalised answer, or as NeMo-Skills has it (default: the run's)"
    parser.add_argument("--majority", choices=("own", "nemo"), help=text)
    parser.add_argument("--json", action="store_true", help="print JSON")
    text = "where a research run loses its cases: search, retrieval, context, format or the model"
    parser = add_command(kinds, "diagnose", diagnose, text)
    parser.add_argument("run", metavar="RUN", help="directory of a bench run of the suite research")
    parser.add_argument("--json", action="store_true", help="print JSON")


def analyze(args: argparse.Namespace) -> int:
    """``autoresearch bench analyze``."""
    from autoresearch.benches.analysis import analyse, describe_analysis
    from autoresearch.benches.run_directory import read_run
    from autoresearch.cli.bench_run import load_suite

    if args.html and args.no_html:
        raise ConfigError("--html and --no-html contradict each other", hint="give one of them")
    run = _with_majority(read_run(Path(args.run)), args.majority)
    suite = load_suite(run.meta.suite)
    found = analyse(suite, run)
    print(json.dumps(found.model_dump(), indent=2) if args.json else describe_analysis(suite, found))
    if not args.no_html:
        _write_page(args, run, suite, found)
    return 0


def _with_majority(run: BenchRun, majority: str | None) -> BenchRun:
    """The run with another value of its option. Raises ``ConfigError`` for a suite without votes."""
    if majority is None:
        return run
    if run.meta.suite != "samples":
        what = f"--majority is of suite samples, and {run.path} is a run of suite {run.meta.suite}"
        raise ConfigError(what, hint="leave --majority away")
    options = {**run.meta.options, "majority": majority}
    return replace(run, meta=run.meta.model_copy(update={"options": options}))


def _write_page(args: argparse.Namespace, run: BenchRun, suite: Suite, found: Analysis) -> None:
    """Write the page. Where it was not asked for, a page that cannot be written is a note on stderr."""
    from autoresearch.benches.pages import render_run

    file = Path(args.html) if args.html else run.path / PAGE
    try:
        write_file(file, render_run(run, suite, found))
    except (AutoresearchError, MissingPackage) as e:
        if args.html:
            raise
        print(f"autoresearch: no page: {e.what}", file=sys.stderr)
        return
    if not args.json:
        print(f"page  {file}")


def diagnose(args: argparse.Namespace) -> int:
    """``autoresearch bench diagnose``."""
    from autoresearch.benches.diagnosing import describe_diagnosis, diagnose_run
    from autoresearch.benches.run_directory import read_run

    run = read_run(Path(args.run))
    found = diagnose_run(run)
    print(json.dumps(found, indent=2) if args.json else describe_diagnosis(run, found))
    return 0
