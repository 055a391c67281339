"""Read the run so far from its journal, of a long run with the help of a cache."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from autoresearch.core.iterations import Iterations
from autoresearch.core.records import Event, LoopComplete, Record, Started, Stopped
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import KnobValue
from autoresearch.errors import JournalError
from autoresearch.hints import hint_after
from autoresearch.storage.decode import decode_trajectory
from autoresearch.storage.fold_cache import FoldCache, is_worth_writing
from autoresearch.storage.fold_state import capture, model_of, restore
from autoresearch.storage.journal import Journal, read, unseal
from autoresearch.storage.run_dir import RUN_CACHE, TRAJECTORY
from autoresearch.storage.sealed_line import WholeLines, read_blocks
from rails import Tried

TriedState = list[tuple[tuple[str, ...], list[tuple[tuple[KnobValue, ...], str, bool]]]]
RUN = model_of(
    Trajectory, iterations=list[int], tried=TriedState | None, ends=list[Record], last=Record | None
)  # of the iterations the places in the journal


def run_cache(run_dir: Path) -> FoldCache[Any]:
    """The cache of the run in ``run_dir``."""
    return FoldCache(run_dir / TRAJECTORY, RUN_CACHE, RUN)


def read_run(journal: Journal, cache: FoldCache[Any]) -> tuple[Trajectory, list[Event]]:
    """The run so far, and of its records those that a night's end depends on: starts and ends, and the last one.

    Raises ``JournalDamaged`` for a record that this version cannot decode.
    """
    trajectory, ends, last = Trajectory(iterations=Iterations(fetch=journal.payload_at)), list[Event](), None
    prefix = journal.verified if cache.prefix else None
    if (state := cache.state(prefix)) is not None:
        ends, last = state.ends, state.last
        _restore(trajectory, state)
    else:
        prefix = None
    lines = journal.lines_after(prefix)
    last = _fold(trajectory, ends, lines, journal.path, prefix.records + 1 if prefix else 1) or last
    if is_worth_writing(lines, prefix):
        cache.write(_state_of(trajectory, ends, last), lines)
    return trajectory, _with_last(ends, last)


def view_run(file: Path) -> tuple[Trajectory, list[Event]]:
    """As ``read_run``, of a run that another process may write: nothing is locked, repaired or cached.

    An absent file is a new run. Raises ``JournalError`` and ``JournalDamaged``.
    """
    trajectory, ends, last = Trajectory(iterations=Iterations(fetch=partial(_payload_at, file))), list[Event](), None
    try:
        with file.open("rb") as stream:
            lines = WholeLines(read_blocks(stream.fileno(), 0, os.fstat(stream.fileno()).st_size))
            last = _fold(trajectory, ends, lines, file, 1)
    except FileNotFoundError:
        return trajectory, ends
    except OSError as e:
        raise JournalError(f"cannot read {file}: {e.strerror}", hint=hint_after(e, file, "read")) from e
    if lines.stopped or lines.rest:
        read(file)  # names the damage, or finds that the rest is one torn record
    return trajectory, _with_last(ends, last)


def _fold(trajectory: Trajectory, ends: list[Event], lines: WholeLines, file: Path, first_line: int) -> Event | None:
    """Add the records of ``lines``, and to ``ends`` those of starts and ends; returns the last record, if any."""
    record = None
    for record in decode_trajectory(lines, file, first_line):
        trajectory.add(record, lines.place)
        if isinstance(record, Started | Stopped | LoopComplete):
            ends.append(record)
    return record


def _with_last(ends: list[Event], last: Event | None) -> list[Event]:
    return ends if last is None or ends[-1:] == [last] else [*ends, last]


def _payload_at(file: Path, place: int) -> bytes:
    """The payload of the line that begins at ``place`` of a journal, which only grows."""
    with file.open("rb") as stream:
        stream.seek(place)
        line = unseal(stream.readline().rstrip(b"\n"))
    if line is None:
        raise JournalError(f"{file} changed while it was read", hint="stop the program that changed it")
    return line[1]


def _state_of(trajectory: Trajectory, ends: list[Event], last: Event | None) -> Any:
    tried = trajectory.tried.entries() if trajectory.tried else None
    return capture(RUN, trajectory, iterations=trajectory.iterations.places(), tried=tried, ends=ends, last=last)


def _restore(trajectory: Trajectory, state: Any) -> None:
    restore(trajectory, state, without=("iterations", "tried", "ends", "last"))
    trajectory.iterations.extend(state.iterations)
    if trajectory.meta is not None and state.tried is not None:
        trajectory.tried = Tried.of_entries(trajectory.meta.baseline_cfg, state.tried)
