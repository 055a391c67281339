"""``autoresearch bench import`` and ``export``: runs of other programs, and runs in another program's form."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from autoresearch.cli.output import write_file
from autoresearch.cli.parsing import add_command
from autoresearch.core.text import plural
from autoresearch.errors import ConfigError

KINDS = ("research", "samples")


def add(kinds: Any) -> None:
    """The commands ``bench import`` and ``bench export``."""
    text = "read the output of NeMo-Skills' `ns eval` or of AutoResearchBench as a bench run, to analyze and compare it"
    parser = add_command(kinds, "import", import_run, text)
    text = f"files or folders, after an optional kind: {' or '.join(KINDS)} (default: what reads them)"
    parser.add_argument("files", nargs="+", metavar="FILE", help=text)
    parser.add_argument("--dir", required=True, metavar="DIR", help="new directory of the run")
    parser.add_argument("--json", action="store_true", help="print JSON")
    text = "write a research run as AutoResearchBench's own output, for its graders"
    parser = add_command(kinds, "export", export, text)
    parser.add_argument("run", metavar="RUN", help="directory of a bench run")
    parser.add_argument("--out", metavar="FILE", help="JSON Lines file to write (default: standard output)")
    parser.add_argument("--json", action="store_true", help="print the name of the file and its lines as JSON")


def import_run(args: argparse.Namespace) -> int:
    """``autoresearch bench import``."""
    from autoresearch.benches.importing import IMPORTERS, import_files, write_run
    from autoresearch.machine import utc

    names = list(args.files)
    kind = names.pop(0) if names[0] in IMPORTERS and not Path(names[0]).exists() else None
    if not names:
        raise ConfigError("no file is named", hint=f"bench import {kind} FILE... --dir DIR")
    run = import_files(kind, [Path(name) for name in names])
    write_run(Path(args.dir), run, utc())
    facts = {
        "dir": args.dir,
        "suite": run.cases.suite,
        "format": run.format,
        "model": run.model,
        "cases": len(run.cases.cases),
        "samples": run.samples,
        "trials": len(run.trials),
        "missing": len(run.cases.cases) * run.samples - len(run.trials),
        "notes": list(run.notes),
    }
    if args.json:
        print(json.dumps(facts, indent=2))
        return 0
    planned = f"{plural(len(run.cases.cases), 'case')} x {plural(run.samples, 'sample')}"
    print(f"{args.dir}: suite {run.cases.suite}, {planned}, {plural(len(run.trials), 'trial')} from {run.format}")
    if facts["missing"]:
        print(f"{plural(int(str(facts['missing'])), 'planned sample')} without a trial: the run is incomplete")
    for note in run.notes:
        print(f"note: {note}")
    return 0


def export(args: argparse.Namespace) -> int:
    """``autoresearch bench export``."""
    from autoresearch.benches.importing import export_lines
    from autoresearch.benches.run_directory import read_run

    if args.json and not args.out:
        raise ConfigError("--json needs --out: without it the lines themselves are printed", hint="--out FILE")
    lines = [line.rstrip("\n") for line in export_lines(read_run(Path(args.run)))]
    if not args.out:
        print("\n".join(lines))
        return 0
    write_file(Path(args.out), "".join(f"{line}\n" for line in lines))
    print(json.dumps({"out": args.out, "lines": len(lines)}) if args.json else f"{args.out}: {len(lines):,} lines")
    return 0
