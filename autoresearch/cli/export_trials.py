"""``autoresearch export csv``, ``parquet`` and ``optuna``: the trials of a run for other tools."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.parsing import add_command
from autoresearch.cli.settings import add_run_path, run_path
from autoresearch.errors import AutoresearchError, ConfigError
from autoresearch.storage.run_dir import TRAJECTORY

BEGINS_WITH = {"csv": b"iter,trial,", "parquet": b"PAR1", "optuna": b'{"op_code":'}
Facts = dict[str, int]

if TYPE_CHECKING:
    from autoresearch.core.records import Event

    Writer = Callable[[Iterable[Event], Path], Facts]


def add(kinds: Any) -> None:
    """The kinds ``csv``, ``parquet`` and ``optuna`` of the command ``export``."""
    for kind, text in (
        ("csv", "the trials of a run as a CSV file, one row each"),
        ("parquet", "the trials of a run as a Parquet file, one row each"),
        ("optuna", "a run as a study in an Optuna journal file, one trial per candidate and one for the baseline"),
    ):
        parser = add_command(kinds, kind, export_trials, text)
        parser.set_defaults(kind=kind)
        add_run_path(parser, "run directory or trajectory.jsonl, finished or live")
        out = "the file to write; an earlier export is replaced at the end, and kept if this one fails; any other file"
        out += " is refused"
        out += "; a journal with other studies is refused" if kind == "optuna" else ""
        parser.add_argument("--out", required=True, metavar="FILE", help=out)
        parser.add_argument("--json", action="store_true", help="print JSON")


def export_trials(args: argparse.Namespace) -> int:
    """``autoresearch export csv|parquet|optuna``."""
    from autoresearch.report import stream_records
    from autoresearch.storage.replaced_file import replaced_file

    path, out = run_path(args), Path(args.out)
    check_target(out, path)
    _refuse_other_file(out, args.kind)
    if args.kind == "optuna":
        _refuse_other_studies(out, path)
    try:
        with replaced_file(out) as temporary:
            facts = _WRITERS[args.kind](stream_records(path), temporary)
    except OSError as e:
        raise AutoresearchError(f"cannot write {out}: {e.strerror or e}") from e
    if args.json:
        print(json.dumps({"format": args.kind, "out": args.out, **facts}, indent=2))
    else:
        print(f"{args.out}: {args.kind}, {', '.join(f'{count:,} {what}' for what, count in facts.items())}")
    return 0


def check_target(out: Path, run: Path) -> None:
    """Raise ``ConfigError`` for a target that is not a file, or that is the run's own log."""
    try:
        if out.exists() and not out.is_file():
            raise ConfigError(f"--out {out} is not a regular file", hint="name a new file")
        own = run / TRAJECTORY if run.is_dir() else run
        if out.exists() and own.exists() and out.samefile(own):
            raise ConfigError(f"--out {out} is the trajectory of the run itself", hint="name a new file")
    except OSError as e:
        raise AutoresearchError(f"cannot write {out}: {e.strerror or e}") from e


def _refuse_other_file(out: Path, kind: str) -> None:
    """Raise ``ConfigError`` where ``out`` has a content that no export of this kind wrote: it would be lost."""
    try:
        with out.open("rb") as file:
            head = file.read(len(BEGINS_WITH[kind]))
    except FileNotFoundError:
        return
    except OSError as e:
        raise AutoresearchError(f"cannot read {out}: {e.strerror or e}") from e
    if head and head != BEGINS_WITH[kind]:
        raise ConfigError(f"--out {out} exists, and `export {kind}` did not write it", hint="name a new file")


def _refuse_other_studies(out: Path, run: Path) -> None:
    """Raise ``ConfigError`` for a journal of Optuna with other studies than this run's: they would be lost."""
    from autoresearch.report import stream_records
    from autoresearch.report.trial_export import other_studies

    try:
        others = other_studies(stream_records(run), out) if out.exists() and out.stat().st_size else []
    except OSError as e:
        raise AutoresearchError(f"cannot read {out}: {e.strerror or e}") from e
    if others:
        what = f"--out {out} has other studies, which would be lost: {', '.join(others[:5])}"
        raise ConfigError(what, hint="name a new file")


def _write_csv(records: Iterable[Event], path: Path) -> Facts:
    from autoresearch.report.trial_export import TrialTable, write_csv

    table = TrialTable(records)
    write_csv(table, path)
    return {"trials": table.count, "columns": len(table.columns)}


def _write_parquet(records: Iterable[Event], path: Path) -> Facts:
    from autoresearch.report.trial_export import TrialTable, write_parquet

    table = TrialTable(records)
    write_parquet(table, path)
    return {"trials": table.count, "columns": len(table.columns)}


def _write_optuna(records: Iterable[Event], path: Path) -> Facts:
    from autoresearch.report.trial_export import write_optuna

    states = write_optuna(records, path)
    return {"trials": states.total(), **{state: states[state] for state in ("measured", "failed", "stopped early")}}


_WRITERS: dict[str, Writer] = {"csv": _write_csv, "parquet": _write_parquet, "optuna": _write_optuna}
