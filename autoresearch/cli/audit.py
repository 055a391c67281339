"""``autoresearch audit``: which keeps of anyone's log were real, as far as the log alone can say."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from autoresearch.cli import audit_repeat
from autoresearch.cli.parsing import add_command
from autoresearch.errors import ConfigError

COLUMNS = ("value", "status", "name", "config")


def add(commands: Any) -> None:
    """The command ``audit``."""
    text = "judge the keeps of anyone's log: the probability that each gain is real, and what is left of it"
    parser = add_command(commands, "audit", audit, text)
    files = (
        "a run directory or trajectory.jsonl (ours or the origin's), results.tsv of karpathy's autoresearch, the "
        "JSONL of pi-autoresearch, an Optuna journal, or a CSV file with --map"
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help=files)
    parser.add_argument(
        "--format", choices=("trajectory", "tsv", "pi", "optuna", "csv"), help="the format (default: by the content)"
    )
    parser.add_argument(
        "--map",
        metavar="value=COL,...",
        help="columns of a CSV file: value=COL, and status=COL, name=COL, config=COL+COL where there are such",
    )
    parser.add_argument("--direction", choices=("lower", "higher"), default="lower", help="which value is better (CSV)")
    parser.add_argument(
        "--loop",
        choices=("ratchet", "fixed"),
        default="ratchet",
        help="what a trial of a CSV file was compared with: the last keep (ratchet, default), or the first row (fixed)",
    )
    parser.add_argument("--study", metavar="NAME", help="the study of an Optuna journal that has several")
    parser.add_argument("--noise", type=_frac, metavar="FRAC", help="relative SD of one measurement, for example 0.003")
    parser.add_argument(
        "--threshold", type=_frac, default=0.005, metavar="FRAC", help="the gain that matters (default 0.005: 0.5%%)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    audit_repeat.add_flags(parser)


def audit(args: argparse.Namespace) -> int:
    """``autoresearch audit``."""
    from autoresearch.report.audit.judge import judge
    from autoresearch.report.audit.read import read_logs
    from autoresearch.report.audit.text import render

    columns = _columns(args.map) if args.map else None
    verdicts = [
        judge(log, args.noise, args.threshold)
        for file in args.files
        for log in read_logs(
            Path(file), args.format, columns=columns, direction=args.direction, loop=args.loop, study=args.study
        )
    ]
    if args.repeat is not None:
        return audit_repeat.repeat(args, verdicts)
    if args.json:
        print(json.dumps({"logs": [v.as_json() for v in verdicts]}, indent=2))
    else:
        print("\n\n".join(render(v) for v in verdicts))
    return 0


def _columns(text: str) -> dict[str, str]:
    """``value=loss,status=decision`` as a mapping. Raises ``ConfigError``."""
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, column = part.partition("=")
        if not equals or name not in COLUMNS or not column:
            hint = f"NAME=COLUMN with one of {', '.join(COLUMNS)}"
            raise ConfigError(f"--map {part}: not a column of an audit", hint=hint)
        if name in found:
            raise ConfigError(f"--map names {name} twice: {found[name]} and {column}", hint="name one column")
        found[name] = column
    return found


def _frac(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1, for example 0.005")
    return value
