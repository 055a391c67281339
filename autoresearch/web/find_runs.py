"""Find the run directories below the directories that the user named, with bounds on depth, entries and runs."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from autoresearch.report.html.text import clean
from autoresearch.storage.run_dir import ARCHIVE, CHECKPOINT, CORPUS, LOCK, LOGS, TRAJECTORY

MAX_DEPTH, MAX_ENTRIES, MAX_RUNS, MAX_PROBLEMS = 4, 50_000, 500, 20
NOT_SEARCHED = frozenset({ARCHIVE, CHECKPOINT, CORPUS, LOGS})
NAME_CHARS = 120
ID_CHARS = 16  # hexadecimal: 64 bits


@dataclass(frozen=True, slots=True)
class RunPlace:
    """A run directory; ``id`` names it in addresses of the page, ``name`` is shown."""

    id: str
    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Found:
    """The runs, in the order of their names, and what could not be searched."""

    runs: tuple[RunPlace, ...]
    problems: tuple[str, ...]


def find_runs(roots: Iterable[Path]) -> Found:
    """The runs in ``roots`` and below them. Links inside a root are not followed; a root itself may be a link.

    A path to a trajectory.jsonl stands for its directory.
    """
    search = _Search()
    runs: dict[str, RunPlace] = {}
    for root in roots:
        path = root.parent if root.name == TRAJECTORY else root
        for found in search.below(path, 0):
            run = _place(found, path)
            runs.setdefault(run.id, run)
            if len(runs) >= MAX_RUNS:
                search.note(f"{MAX_RUNS} runs are shown, and there are more")
                break
    return Found(tuple(sorted(_distinct(runs.values()), key=lambda run: run.name)), tuple(search.problems))


def _distinct(runs: Iterable[RunPlace]) -> list[RunPlace]:
    """The runs with names that differ, also as labels of metrics: of equal ones with the beginning of the id."""
    found = list(runs)
    names = Counter(run.name for run in found)
    return [replace(run, name=f"{run.name} ({run.id[:6]})") if names[run.name] > 1 else run for run in found]


def _place(path: Path, root: Path) -> RunPlace:
    name = root.name or str(root) if path == root else str(path.relative_to(root))
    key = os.fsencode(os.path.abspath(path))
    return RunPlace(hashlib.sha256(key).hexdigest()[:ID_CHARS], clean(printable(name), NAME_CHARS), path)


def printable(text: str) -> str:
    """``text`` of a file name, whose bytes may not be UTF-8, as text that can be encoded."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


class _Search:
    def __init__(self) -> None:
        self.problems: list[str] = []
        self._entries = 0

    def note(self, problem: str) -> None:
        if problem not in self.problems and len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)

    def below(self, folder: Path, depth: int) -> Iterator[Path]:
        try:
            with os.scandir(folder) as entries:
                found = self._read(entries)
        except OSError as e:
            self.note(f"cannot read {clean(printable(str(folder)), NAME_CHARS)}: {e.strerror}")
            return
        if found is None:
            self.note(f"more than {MAX_ENTRIES:,} files and directories: the rest was not searched")
            return
        folders, is_run = found
        if is_run:
            yield folder
        elif depth < MAX_DEPTH:
            for name in sorted(folders):
                yield from self.below(folder / name, depth + 1)

    def _read(self, entries: Iterator[os.DirEntry[str]]) -> tuple[list[str], bool] | None:
        folders: list[str] = []
        is_run = False
        for entry in entries:
            self._entries += 1
            if self._entries > MAX_ENTRIES:
                return None
            if entry.name in (TRAJECTORY, LOCK):
                is_run |= entry.is_file(follow_symlinks=False)
            elif _is_searched(entry):
                folders.append(entry.name)
        return folders, is_run


def _is_searched(entry: os.DirEntry[str]) -> bool:
    hidden = entry.name.startswith(".")
    return not hidden and entry.name not in NOT_SEARCHED and entry.is_dir(follow_symlinks=False)


def is_plain_file(path: Path) -> bool:
    """Whether ``path`` is a regular file that no link points to by this name."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False
