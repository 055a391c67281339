"""``autoresearch promote``: does a run's winner hold when it is trained longer?"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.parsing import add_command, whole_number
from autoresearch.cli.settings import add_settings, resolve_args
from autoresearch.errors import AutoresearchError

if TYPE_CHECKING:
    from autoresearch.config.settings import Settings
    from autoresearch.core.records import Meta

TIMES, SEEDS = 4, 4


def add(commands: Any) -> None:
    """The command ``promote``."""
    text = "train a run's winner and its baseline longer, paired by seed: does the gain hold? resumes earlier work"
    parser = add_command(commands, "promote", promote, text)
    parser.add_argument("path", metavar="RUN", help="run directory; the trials are kept in it")
    text = f"times the run's budget (default {TIMES})"
    parser.add_argument("--times", type=whole_number(2, 1000), default=TIMES, metavar="N", help=text)
    text = f"fresh seeds of each side (default {SEEDS})"
    parser.add_argument("--seeds", type=whole_number(2, 1000), default=SEEDS, metavar="N", help=text)
    parser.add_argument("--json", action="store_true", help="print the certificate as JSON")
    add_settings(parser, ("corpus", "trainer", "device"))


def promote(args: argparse.Namespace) -> int:
    """``autoresearch promote``. Raises ``AutoresearchError`` where it ended before every seed was measured."""
    from autoresearch.daemon.best_config import read_run
    from autoresearch.daemon.observers.terminal import Terminal
    from autoresearch.daemon.promote import promote as measure
    from autoresearch.errors import ConfigError
    from autoresearch.report.promotion import promotion_lines

    path = Path(args.path)
    run = read_run(path)
    if run.meta is None or run.winner is None:
        hint = "continue that run, or name another one"
        raise ConfigError(f"{path}: that run kept nothing, so there is no winner to promote", hint=hint)
    run_dir = path if path.is_dir() else path.parent
    settings = _settings(args, run.meta, run_dir)
    terminal = Terminal(0, sys.stderr)
    certificate, complete = measure(settings, run, args.times, args.seeds, terminal)
    terminal.done()
    if args.json:
        print(json.dumps({**certificate.model_dump(mode="json"), "complete": complete}, indent=2))
    else:
        print("\n".join(promotion_lines(certificate)))
    if not complete:
        raise AutoresearchError("ended before every seed was measured", hint="the same command resumes")
    return 0


def _settings(args: argparse.Namespace, meta: Meta, run_dir: Path) -> Settings:
    """The settings on the command line over the run's own profile."""
    given = any("profile" in str(text).partition("=")[0] for text in args.assignments or [])
    if not given and "AUTORESEARCH_PROFILE" not in os.environ:
        args.flag_profile = meta.profile
    args.flag_dir = str(run_dir)
    return resolve_args(args, run_dir).settings
