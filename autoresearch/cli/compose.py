"""``autoresearch compose``: continue a run with unions of what it kept."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from autoresearch.cli.output import render_options
from autoresearch.cli.parsing import add_command, whole_number
from autoresearch.cli.settings import RUN_FLAGS, add_settings, resolve_args
from autoresearch.errors import ConfigError
from autoresearch.storage.run_dir import TRAJECTORY

NOT_HERE = ("dir", "iters", "proposer", "replay_from")  # settings that RUN and the command decide
MOST = 50  # candidates of one call, if not given: it ends by itself when nothing is left


def add(commands: Any) -> None:
    """The command ``compose``."""
    text = "continue a run with unions of what it kept; takes the settings of the run; resumes"
    parser = add_command(commands, "compose", compose, text)
    parser.add_argument("path", metavar="RUN", help="run directory")
    text = f"most unions and ablations that are tried (default {MOST}); it ends before when nothing is left"
    parser.add_argument("--most", type=whole_number(1, 1000), default=MOST, metavar="N", help=text)
    parser.add_argument("--json", action="store_true", help="print the summary as JSON at the end, progress to stderr")
    add_settings(parser, [name for _, name, _, _ in RUN_FLAGS if name not in NOT_HERE])


def compose(args: argparse.Namespace) -> int:
    """``autoresearch compose``. Raises ``ConfigError`` for a path that is not a run directory."""
    from autoresearch.cli.run import run_settings
    from autoresearch.core.stacking import STACK_SOURCE
    from autoresearch.core.trajectory import Trajectory
    from autoresearch.daemon.systemd.notify import Notifier
    from autoresearch.report.load import load_records

    run_dir = Path(args.path)
    if not run_dir.is_dir():
        raise ConfigError(f"{run_dir} is not a run directory", hint=f"name the directory that holds {TRAJECTORY}")
    run = Trajectory.fold(load_records(run_dir))
    if run.meta and args.flag_profile is None and not args.config and "AUTORESEARCH_PROFILE" not in os.environ:
        args.flag_profile = run.meta.profile
    settings = resolve_args(args, run_dir).settings
    if not run.candidates and not _has_something_left(run_dir):
        _print_nothing_left(run_dir, args.json)
        return 0
    chosen = {"dir": run_dir, "compose": "only", "proposer": STACK_SOURCE, "iters": run.highest_iter + args.most}
    args.fresh = False
    run_settings(settings.model_copy(update=chosen), args, Notifier.take(os.environ))
    return 0


def _has_something_left(run_dir: Path) -> bool:
    """Whether a union or an ablation is not known yet; whether the rails let it pass is seen when it is proposed."""
    from autoresearch.report import load
    from autoresearch.report.stack import tried_rows
    from autoresearch.verdicts.stack import plan_stack

    return plan_stack(tried_rows(load(run_dir).rows), lambda _changes: True).wanted is not None


def _print_nothing_left(run_dir: Path, as_json: bool) -> None:
    from autoresearch.core.text import plural
    from autoresearch.report import load, summarise, summary_json
    from autoresearch.report.stack import render_stack

    history = load(run_dir)
    summary = summarise(history)
    what = f"nothing is left to combine: the run has {plural(summary.keeps, 'keep')}"
    if as_json:
        print(what, file=sys.stderr)
        print(summary_json(summary))
        return
    options = render_options(run_dir, False)
    print("\n".join([what, *render_stack(summary.stack, int(options["width"]), bool(options["color"]))]))
