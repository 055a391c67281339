"""The JSONL of pi-autoresearch as a ``Log``: a ``config`` line begins a segment, each other line is a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autoresearch.errors import CorpusError
from autoresearch.report.audit.log import Direction, Entry, Log, bounded, shortened
from autoresearch.report.audit.read_tables import FAILED, read_text
from autoresearch.report.audit.values import Cell, read_values

Run = tuple[int, dict[str, Any], str]  # line, record and status
STATUSES = frozenset({"keep", "discard", *FAILED})


def read_pi(path: Path) -> list[Log]:
    """One log per segment that can be judged; each segment has a baseline of its own, its first run.

    Raises ``CorpusError`` naming the first line that is not one of the format's records.
    """
    segments: list[tuple[dict[str, Any], list[Run]]] = []
    for number, record in _records(path):
        if record.get("type") == "config":
            if not segments or segments[-1][1]:
                segments.append((record, []))
            else:
                segments[-1] = (record, [])
            continue
        if record.get("status") is None:
            continue  # a note of another extension, or a run that is not judged yet
        if not segments:
            segments.append(({}, []))
        segments[-1][1].append((number, record, _status(number, record, path)))
    logs = [log for config, runs in segments if (log := _log(path, config, runs, len(segments) > 1))]
    if not logs:
        raise CorpusError(f"{path}: no segment has a baseline and a run after it", hint="name a longer log")
    return logs


def _status(number: int, record: dict[str, Any], path: Path) -> str:
    status = str(record["status"]).lower()
    if status not in STATUSES:
        hint = "keep, discard, crash or checks_failed"
        raise CorpusError(f"{path}: line {number}: {shortened(status)!r} is not a status", hint=hint)
    return status


def _log(path: Path, config: dict[str, Any], runs: list[Run], several: bool) -> Log | None:
    name = shortened(config.get("name") or "")
    where = f"{path} ({name or 'segment'})" if several else str(path)
    metric = shortened(config.get("metricName") or "metric")
    texts = ["" if record.get("metric") is None else str(record["metric"]) for _, record, _ in runs]
    cells = [Cell(f"line {n}", text, s not in FAILED) for (n, _, s), text in zip(runs, texts, strict=True)]
    values, notes = read_values(cells, metric, where)
    entries = []
    for (number, record, status), value in zip(runs, values, strict=True):
        usable = None if status in FAILED else value
        kept = status == "keep" and usable is not None
        entries.append(Entry(f"line {number}", shortened(record.get("description") or ""), usable, kept))
    first = next((n for n, entry in enumerate(entries) if entry.value), None)
    if first is None or not any(e.value is not None for e in entries[first + 1 :]):
        return None
    value = entries[first].value
    direction: Direction = "higher" if str(config.get("bestDirection", "lower")).lower() == "higher" else "lower"
    baseline = () if value is None else (value,)
    rest = bounded(entries[first + 1 :], where)
    return Log(where, "pi-autoresearch", metric, direction, "ratchet", baseline, rest, notes=notes)


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = read_text(path).split("\n")  # JSON may contain other separators of lines, for example U+2028
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as e:
            if not any(map(str.strip, lines[number:])):
                return  # a torn last line: it may still be written
            raise CorpusError(f"{path}: line {number} is not JSON", hint="name a log of pi-autoresearch") from e
        if not isinstance(record, dict):
            raise CorpusError(f"{path}: line {number} is not a JSON object", hint="name a log of pi-autoresearch")
        yield number, record
