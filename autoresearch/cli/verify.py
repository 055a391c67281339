"""``autoresearch verify``: recompute every decision of a run from its trials."""

from __future__ import annotations

import argparse
import json
from typing import Any

from autoresearch.cli.parsing import add_command
from autoresearch.cli.settings import add_run_path, run_path


def add(commands: Any) -> None:
    """The command ``verify``."""
    text = "recompute every decision of a run from its trials alone; exit 65 and name the first that differs"
    parser = add_command(commands, "verify", verify, text)
    add_run_path(parser, "run directory or trajectory.jsonl")
    parser.add_argument("--json", action="store_true", help="print JSON")


def verify(args: argparse.Namespace) -> int:
    """``autoresearch verify``. Returns 65 if a recorded decision does not follow from the recorded trials."""
    from autoresearch.report.load import stream_records
    from autoresearch.report.verify import verify as recompute

    path = run_path(args)
    found = recompute(stream_records(path))
    if args.json:
        difference = found.difference
        facts = {
            "run": str(path),
            "decisions": found.decisions,
            "same": difference is None,
            "iter": difference.iter if difference else None,
            "field": difference.field if difference else None,
            "what": str(difference) if difference else None,
        }
        print(json.dumps(facts, indent=2))
    elif found.difference:
        print(f"{path}: {found.difference}")
    else:
        print(f"{path}: all {found.decisions} decisions follow from their trials")
    return 0 if found.difference is None else 65
