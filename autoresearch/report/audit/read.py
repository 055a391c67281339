"""Find out which program wrote a log, and read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoresearch.errors import ConfigError, CorpusError
from autoresearch.report.audit.log import Direction, Log, Loop
from autoresearch.report.audit.read_jsonl import read_pi
from autoresearch.report.audit.read_optuna import read_optuna
from autoresearch.report.audit.read_own import read_own
from autoresearch.report.audit.read_tables import read_csv, read_tsv

HEAD_BYTES = 1 << 20
LOOKED_AT = 100  # lines: other programs may write notes above the first record
FORMATS = ("trajectory", "tsv", "pi", "optuna", "csv")


def read_logs(
    path: Path,
    form: str | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    direction: Direction = "lower",
    loop: Loop = "ratchet",
    study: str | None = None,
) -> list[Log]:
    """The logs in a file: one, or one per segment. ``form``: one of ``FORMATS``; ``None``: found from the content.

    Raises ``CorpusError`` or ``JournalError`` that name the file, and ``ConfigError`` for a mapping that is missing.
    """
    form = form or ("csv" if columns else detect(path))
    match form:
        case "trajectory":
            return [read_own(path)]
        case "tsv":
            return [read_tsv(path)]
        case "pi":
            return read_pi(path)
        case "optuna":
            return [read_optuna(path, study)]
        case _:
            if not columns or "value" not in columns:
                raise ConfigError("a CSV file needs the column of its metric", hint="--map value=COLUMN")
            return [read_csv(path, columns, direction, loop)]


def detect(path: Path) -> str:
    """The format of a log, from its first lines. Raises ``CorpusError`` where it is none of them."""
    if path.is_dir():
        return "trajectory"
    head = _head(path)
    lines = [] if "\0" in head else [line for line in head.splitlines() if line.strip()][:LOOKED_AT]
    first = next(iter(lines), "")
    if first.startswith("{"):
        return next(filter(None, (_format_of(_object(line)) for line in lines)), "trajectory")
    header = [cell.strip().lower() for cell in first.split("\t")]
    if "val_bpb" in header and "status" in header:
        return "tsv"
    if any(separator in first for separator in ",;\t"):
        return "csv"
    hint = "a table with tabs, commas or semicolons below a line of names, or JSON lines; or say --format"
    raise CorpusError(f"{path} is not a log that can be audited", hint=hint)


def _head(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES).decode("utf-8-sig", "replace")
    except OSError as e:
        raise CorpusError(f"cannot read {path}: {e.strerror}", hint="name the log of a loop") from e


def _object(line: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _format_of(record: Mapping[str, Any]) -> str:
    """The format that has such a record; empty where several may."""
    if "op_code" in record:
        return "optuna"
    if "stage" in record or "_meta" in record:
        return "trajectory"
    return "pi" if record.get("type") == "config" or ("metric" in record and "status" in record) else ""
