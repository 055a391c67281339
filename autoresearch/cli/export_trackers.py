"""``autoresearch export mlflow``, ``wandb``, ``tensorboard`` and ``trackio``: a run for an experiment tracker."""

from __future__ import annotations

import argparse
import json
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

from autoresearch.cli.export_trials import check_target
from autoresearch.cli.parsing import add_command
from autoresearch.cli.settings import add_run_path, run_path
from autoresearch.errors import AutoresearchError, ConfigError

KINDS = {
    "mlflow": "the candidates of a run as runs of MLflow, in an SQLite file",
    "wandb": "the candidates of a run as offline runs of Weights & Biases, in a directory",
    "tensorboard": "the candidates of a run as event files of TensorBoard with its HPARAMS page, in a directory",
    "trackio": "the candidates of a run as runs of Trackio, in a directory",
}

MLFLOW_TABLES = {"alembic_version", "experiments", "runs", "metrics", "params"}


def add(kinds: Any) -> None:
    """One kind of the command ``export`` for each tracker."""
    for kind, text in KINDS.items():
        parser = add_command(kinds, kind, export_trackers, text)
        parser.set_defaults(kind=kind)
        add_run_path(parser, "run directory or trajectory.jsonl, finished or live")
        file = "the SQLite file: a new one, or one of MLflow, to whose runs those that it does not have are added"
        folder = "the directory to write, new or empty"
        metavar, out = ("FILE", file) if kind == "mlflow" else ("DIR", folder)
        parser.add_argument("--out", required=True, metavar=metavar, help=out)
        parser.add_argument("--json", action="store_true", help="print JSON")


def export_trackers(args: argparse.Namespace) -> int:
    """``autoresearch export mlflow|wandb|tensorboard|trackio``."""
    from autoresearch.report import stream_records
    from autoresearch.report.trackers import TRACKERS, export_run

    path, out = run_path(args), Path(args.out)
    is_file = TRACKERS[args.kind].is_file
    check_target(out, path) if is_file else _check_directory(out)
    adds = is_file and _has_runs_of_mlflow(out)
    try:
        with nullcontext(out) if adds else _target(out, is_file) as temporary:
            states = export_run(args.kind, stream_records(path), temporary)
    except OSError as e:
        raise AutoresearchError(f"cannot write {out}: {e.strerror or e}") from e
    facts = {"runs": states.total(), **{state: states[state] for state in ("measured", "failed", "stopped early")}}
    if args.json:
        print(json.dumps({"format": args.kind, "out": args.out, **facts}, indent=2))
    else:
        print(f"{args.out}: {args.kind}, {', '.join(f'{count:,} {what}' for what, count in facts.items())}")
    return 0


def _target(out: Path, is_file: bool) -> AbstractContextManager[Path]:
    from autoresearch.storage.new_directory import new_directory
    from autoresearch.storage.replaced_file import replaced_file

    return replaced_file(out) if is_file else new_directory(out)


def _has_runs_of_mlflow(out: Path) -> bool:
    """Whether ``out`` is a database of MLflow. Raises ``ConfigError`` for any other file that has a content."""
    import sqlite3

    try:
        if not out.exists() or out.stat().st_size == 0:
            return False
        with closing(sqlite3.connect(f"{out.absolute().as_uri()}?mode=ro", uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except OSError as e:
        raise AutoresearchError(f"cannot read {out}: {e.strerror or e}") from e
    except sqlite3.Error as e:
        raise ConfigError(f"--out {out} is not a database of MLflow: {e}", hint="name a new file") from e
    if not tables >= MLFLOW_TABLES:
        raise ConfigError(f"--out {out} is a database of another program", hint="name a new file")
    return True


def _check_directory(out: Path) -> None:
    """Raise ``ConfigError`` for a target that has a content: it is the user's, and is not removed."""
    try:
        if out.exists() and not out.is_dir():
            raise ConfigError(f"--out {out} is not a directory", hint="name a new directory")
        if out.is_dir() and any(out.iterdir()):
            raise ConfigError(f"--out {out} is not empty", hint="name a new directory, or remove this one")
    except OSError as e:
        raise AutoresearchError(f"cannot write {out}: {e.strerror or e}") from e
