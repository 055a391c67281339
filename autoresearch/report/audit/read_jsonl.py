"""The JSONL of pi-autoresearch as a ``Log``: a ``config`` line begins a segment, each other line is a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autoresearch.errors import CorpusError
from autoresearch.report.audit.log import Direction, Entry, Log, bounded, finite, shortened
from autoresearch.report.audit.read_tables import FAILED, read_text

STATUSES = frozenset({"keep", "discard", *FAILED})


def read_pi(path: Path) -> list[Log]:
    """One log per segment that can be judged; each segment has a baseline of its own, its first run.

    Raises ``CorpusError`` naming the first line that is not one of the format's records.
    """
    segments: list[tuple[dict[str, Any], list[Entry]]] = []
    for number, record in _records(path):
        if record.get("type") == "config":
            if not segments or segments[-1][1]:
                segments.append((record, []))
            else:
                segments[-1] = (record, [])
            continue
        if "status" not in record:
            continue  # a note of another extension
        if not segments:
            segments.append(({}, []))
        segments[-1][1].append(_entry(number, record, path))
    logs = [log for config, entries in segments if (log := _log(path, config, entries, len(segments) > 1, segments))]
    if not logs:
        raise CorpusError(f"{path}: no segment has a baseline and a run after it", hint="name a longer log")
    return logs


def _entry(number: int, record: dict[str, Any], path: Path) -> Entry:
    status = str(record["status"]).lower()
    if status not in STATUSES:
        hint = "keep, discard, crash or checks_failed"
        raise CorpusError(f"{path}: line {number}: {shortened(status)!r} is not a status", hint=hint)
    value = None if status in FAILED else finite(record.get("metric"))
    kept = status == "keep" and value is not None
    return Entry(f"line {number}", shortened(record.get("description", "")), value, kept)


def _log(path: Path, config: dict[str, Any], entries: list[Entry], several: bool, segments: list[Any]) -> Log | None:
    first = next((n for n, entry in enumerate(entries) if entry.value), None)
    if first is None or not any(e.value is not None for e in entries[first + 1 :]):
        return None
    value = entries[first].value
    name = shortened(config.get("name", ""))
    direction: Direction = "higher" if str(config.get("bestDirection", "lower")).lower() == "higher" else "lower"
    metric = shortened(config.get("metricName", "metric"))
    where = f"{path} ({name or 'segment'})" if several else str(path)
    baseline = () if value is None else (value,)
    return Log(where, "pi-autoresearch", metric, direction, "ratchet", baseline, bounded(entries[first + 1 :], where))


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
