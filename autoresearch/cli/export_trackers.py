"""``autoresearch export mlflow``, ``wandb``, ``tensorboard`` and ``trackio``: a run for an experiment tracker."""

from __future__ import annotations

import argparse
import json
from contextlib import AbstractContextManager
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


def add(kinds: Any) -> None:
    """One kind of the command ``export`` for each tracker."""
    for kind, text in KINDS.items():
        parser = add_command(kinds, kind, export_trackers, text)
        parser.set_defaults(kind=kind)
        add_run_path(parser, "run directory or trajectory.jsonl, finished or live")
        file = "the file to write; an existing one is replaced at the end, and kept if the export fails"
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
    try:
        with _target(out, is_file) as temporary:
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


def _check_directory(out: Path) -> None:
    """Raise ``ConfigError`` for a target that has a content: it is the user's, and is not removed."""
    try:
        if out.exists() and not out.is_dir():
            raise ConfigError(f"--out {out} is not a directory", hint="name a new directory")
        if out.is_dir() and any(out.iterdir()):
            raise ConfigError(f"--out {out} is not empty", hint="name a new directory, or remove this one")
    except OSError as e:
        raise AutoresearchError(f"cannot write {out}: {e.strerror or e}") from e
