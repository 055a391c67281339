"""``autoresearch bench table``: measured configurations that proposers are benched on, or past runs as such a table."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.output import write_file
from autoresearch.cli.parsing import add_command, whole_number
from autoresearch.cli.settings import add_settings, resolve_args
from autoresearch.errors import AutoresearchError

if TYPE_CHECKING:
    from autoresearch.benches.proposers.table_file import TableFile


def add(kinds: Any) -> None:
    """The command ``bench table``."""
    text = "measure every knob of the menu at several values, for `bench run proposer`; resumes earlier work in --dir"
    parser = add_command(kinds, "table", table, text)
    parser.add_argument("--out", required=True, metavar="FILE", help="the table, as JSON")
    text = "measure nothing: make the table of the trials of these runs, which have one yardstick"
    parser.add_argument("--runs", nargs="+", metavar="RUN", help=text)
    text = "values of each range of numbers (default 7); every choice is measured"
    parser.add_argument("--values", type=whole_number(2, 1000), default=7, metavar="N", help=text)
    text = "seeds of each configuration (default 3)"
    parser.add_argument("--seeds", type=whole_number(1, 1000), default=3, metavar="N", help=text)
    text = "seeds of the baseline (default 12)"
    parser.add_argument("--baseline-seeds", type=whole_number(1, 1000), default=12, metavar="N", help=text)
    text = "rounds in which the middle of each interval is measured that is too bent to interpolate (default 0)"
    parser.add_argument("--refine", type=whole_number(0, 10), default=0, metavar="N", help=text)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_settings(parser, ("profile", "dir", "corpus", "trainer", "device"))


def table(args: argparse.Namespace) -> int:
    """``autoresearch bench table``."""
    from autoresearch.benches.proposers.table_file import format_table
    from autoresearch.benches.proposers.table_of_runs import table_of_runs

    made = table_of_runs([Path(run) for run in args.runs]) if args.runs else _measure(args)
    write_file(Path(args.out), format_table(made))
    facts = _facts(made)
    print(json.dumps(facts, indent=2) if args.json else _text(facts, args.out))
    if len(made.rows) < made.planned:
        missing = f"{made.planned - len(made.rows)} of {made.planned} trials are missing"
        raise AutoresearchError(missing, hint="the same command resumes; the table holds what was measured")
    return 0


def _measure(args: argparse.Namespace) -> TableFile:
    from autoresearch.benches.proposers.measure_table import TablePlan, measure_table
    from autoresearch.daemon.observers.terminal import Terminal

    terminal = Terminal(0, sys.stderr)
    plan = TablePlan(args.values, args.seeds, args.baseline_seeds, args.refine)
    made = measure_table(
        resolve_args(args).settings,
        plan,
        terminal,
        on_trial=lambda done, of, line: terminal.notify(f"trial {done}/{of}: {line}"),
    )
    terminal.done()
    return made


def _facts(made: TableFile) -> dict[str, Any]:
    from autoresearch.core.values import sha256_of

    return {
        "rows": len(made.rows),
        "planned": made.planned,
        "configurations": len({sha256_of(row.cfg) for row in made.rows}),
        "failed": sum(row.val_bpb is None for row in made.rows),
        "refused": [r.model_dump(mode="json") for r in made.refused],
        "skipped": made.skipped,
        "trial_s": sum(row.trial_wall_s or 0.0 for row in made.rows),
        "yardstick_sha256": made.yardstick_sha256,
        "menu_sha256": made.menu_sha256,
    }


def _text(facts: dict[str, Any], out: str) -> str:
    from autoresearch.report.format import safe

    lines = [
        f"{facts['rows']} of {facts['planned']} trials of {facts['configurations']} configurations, "
        f"{facts['failed']} of them failed, {facts['trial_s'] / 60:.0f} minutes of trials: {out}"
    ]
    lines += [f"refused: {r['knob']} = {r['value']}: {safe(r['reason'], 200)}" for r in facts["refused"]]
    lines += [f"left out: {count:,} {reason}" for reason, count in facts["skipped"].items()]
    return "\n".join(lines)
