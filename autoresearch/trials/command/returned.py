"""Finds in a command's output, or in its file, what it returns: metric, progress, tokens, peak memory."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoresearch.config.command import CommandSettings
from autoresearch.trials.command.ending import Returned
from autoresearch.trials.command.number import parse_number
from autoresearch.trials.command.output import Lines, Search

MAX_FILE_BYTES = 1 << 20
UNIT_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
OnProgress = Callable[[float, int], None]  # fraction and step

MAX_NUMBER = 1e18  # larger steps, tokens and bytes do not occur; neither infinity nor NaN is below it
FileMark = tuple[int, int, int, int] | None  # of a file, what changes when it is written


@dataclass(slots=True)
class Reader:
    """Searches the lines of one run of the command."""

    settings: CommandSettings
    on_progress: OnProgress
    budget: float
    _lines: Lines = field(init=False)
    _metric: Search | None = field(init=False)
    _others: dict[str, Search] = field(init=False)
    step: int | None = None

    def __post_init__(self) -> None:
        self._lines = Lines(self._look)
        s = self.settings
        pattern = s.metric_pattern or (None if s.metric_file else metric_line(s.metric))
        self._metric = Search(re.compile(pattern)) if pattern else None
        patterns = {"progress": s.progress_pattern, "peak": s.peak_memory_pattern, "tokens": s.tokens_pattern}
        self._others = {name: Search(re.compile(text)) for name, text in patterns.items() if text}

    def feed(self, data: bytes) -> None:
        self._lines.feed(data)

    def _look(self, line: str) -> None:
        if self._metric:
            self._metric.look(line)
        for name, search in self._others.items():
            if search.look(line) and name == "progress":
                self._report_progress(search.last or ())

    def _report_progress(self, groups: tuple[str, ...]) -> None:
        numbers = [n for n in map(_number, groups) if n is not None]
        if self.settings.counts_steps and len(numbers) == 1:
            numbers.append(self.budget)
        if len(numbers) == 2 and numbers[1] > 0:
            self.step = max(0, int(numbers[0]))
            self.on_progress(_bounded(numbers[0] / numbers[1]), self.step)
        elif len(numbers) == 1:
            self.on_progress(_bounded(numbers[0] / 100), self.step or 0)

    def result(self, file: Path | None, before: FileMark, errors: str = "") -> Returned:
        """What was returned, once the command has ended. ``file`` counts only if it was written since ``before``.

        ``errors``: what it printed to stderr. No metric is taken from there; that it has one is said.
        """
        self._lines.close()
        peak, tokens = self._last_number("peak"), self._last_number("tokens")
        common: dict[str, Any] = {
            "tokens": tokens * self.settings.tokens_scale if tokens else None,
            "peak_bytes": round(peak * UNIT_BYTES[self.settings.peak_memory_unit]) if peak and peak > 0 else None,
            "step": self.step,
        }
        if file is not None:
            text, problem = read_metric_file(file, self.settings.metric, before)
            return Returned(text, int(text is not None), problem, **common)
        assert self._metric is not None
        shown = self.settings.metric_pattern or f"METRIC {self.settings.metric}=VALUE"
        text = self._metric.last[0] if self._metric.last else None
        problem = f"no line of stdout matches {shown!r}"
        if text is None and any(self._metric.look(line) for line in errors.splitlines()):
            return Returned(None, 0, f"{problem}, but one of stderr does: print the metric to stdout", **common)
        return Returned(text, self._metric.count, problem, **common)

    def _last_number(self, name: str) -> float | None:
        search = self._others.get(name)
        return _number(search.last[0]) if search and search.last else None


def metric_line(name: str) -> str:
    """The pattern of a line ``METRIC name=value``; ``METRIC name: value`` is as good."""
    return rf"^\s*METRIC\s+{re.escape(name)}\s*[=:]\s*(\S+)"


def mark_of(path: Path) -> FileMark:
    """What a file is now, to see later that it was written; ``None`` for a pipe, on which reading might wait."""
    try:
        s = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(s.st_mode):
        return None
    return s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns


def read_metric_file(path: Path, name: str, before: FileMark) -> tuple[str | None, str]:
    """The metric of a JSON file, under its name or a dotted path of names; or why there is none."""
    try:
        if mark_of(path) is None:
            return None, f"it wrote no {path}"
        if mark_of(path) == before:
            return None, f"it did not write {path}, which is of an earlier run"
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            return None, f"{path} has more than {MAX_FILE_BYTES >> 20} MiB"
        values = json.loads(data)
    except (OSError, ValueError, RecursionError) as e:
        return None, f"{path} is not JSON: {e}"
    found = values.get(name) if isinstance(values, dict) else None
    for part in name.split(".") if found is None else ():
        values = values.get(part) if isinstance(values, dict) else None
        found = values
    if found is None or isinstance(found, dict | list | bool):
        return None, f"{path} has no number {name!r}"
    return str(found), ""


def _number(text: str) -> float | None:
    """A finite number; ``None`` for any other text."""
    try:
        number = parse_number(text, is_count=True)
    except ValueError:
        return None
    return number if abs(number) < MAX_NUMBER else None


def _bounded(fraction: float) -> float:
    return min(1.0, max(0.0, fraction)) if fraction == fraction else 0.0
