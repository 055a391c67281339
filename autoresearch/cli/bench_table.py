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
from autoresearch.errors import AutoresearchError, ConfigError

if TYPE_CHECKING:
    from autoresearch.benches.proposers.table_file import TableFile

VALUES = 7


def add(kinds: Any) -> None:
    """The command ``bench table``."""
    text = "measure every knob of the menu at several values, for `bench run proposer`; resumes earlier work in --dir"
    parser = add_command(kinds, "table", table, text)
    parser.add_argument("--out", required=True, metavar="FILE", help="the table, as JSON")
    text = "measure nothing: make the table of the trials of these runs, which have one yardstick"
    parser.add_argument("--runs", nargs="+", metavar="RUN", help=text)
    text = "measure N configurations of the joint space with one seed each, and more seeds of every 20th, for `search`"
    parser.add_argument("--joint", type=whole_number(20, 1_000_000), metavar="N", help=text)
    text = "values of each range of numbers (default 7); every choice is measured"
    parser.add_argument("--values", type=whole_number(2, 1000), metavar="N", help=text)
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

    made = table_of_runs([Path(run) for run in args.runs]) if args.runs and args.joint is None else _measure(args)
    write_file(Path(args.out), format_table(made))
    facts = _facts(made)
    print(json.dumps(facts, indent=2) if args.json else _text(facts, args.out))
    if len(made.rows) < made.planned:
        missing = f"{made.planned - len(made.rows)} of {made.planned} trials are missing"
        raise AutoresearchError(missing, hint="the same command resumes; the table holds what was measured")
    return 0


def _measure(args: argparse.Namespace) -> TableFile:
    if args.joint is not None and (args.refine or args.values is not None or args.runs):
        given = "--runs" if args.runs else "--refine" if args.refine else "--values"
        raise ConfigError(f"--joint with {given}", hint=f"leave {given} out: --joint draws from the whole menu")
    from autoresearch.benches.proposers.joint_plan import JointPlan
    from autoresearch.benches.proposers.measure_joint import measure_joint_table
    from autoresearch.benches.proposers.measure_table import TablePlan, measure_table
    from autoresearch.daemon.observers.terminal import Terminal

    terminal = Terminal(0, sys.stderr)
    settings = resolve_args(args).settings

    def on_trial(done: int, of: int, line: str) -> None:
        terminal.notify(f"trial {done}/{of}: {line}")

    if args.joint is None:
        plan = TablePlan(args.values or VALUES, args.seeds, args.baseline_seeds, args.refine)
        made = measure_table(settings, plan, terminal, on_trial=on_trial)
    else:
        joint = JointPlan(args.joint, args.baseline_seeds, args.seeds - 1)
        made = measure_joint_table(settings, joint, terminal, on_trial=on_trial)
    terminal.done()
    return made


def _facts(made: TableFile) -> dict[str, Any]:
    from autoresearch.benches.proposers.table_file import REFUSED
    from autoresearch.core.values import sha256_of

    return {
        "rows": len(made.rows),
        "planned": made.planned,
        "configurations": len({sha256_of(row.cfg) for row in made.rows}),
        "failed": sum(row.val_bpb is None and row.cause != REFUSED for row in made.rows),
        "untrained": sum(row.cause == REFUSED for row in made.rows),
        "refused": [r.model_dump(mode="json") for r in made.refused],
        "skipped": made.skipped,
        "trial_s": sum(row.trial_wall_s or 0.0 for row in made.rows),
        "yardstick_sha256": made.yardstick_sha256,
        "menu_sha256": made.menu_sha256,
    }


def _text(facts: dict[str, Any], out: str) -> str:
    from autoresearch.report.format import safe

    lines = [
        f"{facts['rows']} of {facts['planned']} rows of {facts['configurations']} configurations, "
        f"{facts['failed']} of them failed, {facts['trial_s'] / 60:.0f} minutes of trials: {out}"
    ]
    if facts["untrained"]:
        lines.append(f"{facts['untrained']} configurations were not trained: rail R7 refuses them; their value is null")
    lines += [f"refused: {r['knob']} = {r['value']}: {safe(r['reason'], 200)}" for r in facts["refused"]]
    lines += [f"left out: {count:,} {reason}" for reason, count in facts["skipped"].items()]
    return "\n".join(lines)
