"""Read the run so far from its journal, of a long run with the help of a cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autoresearch.core.iterations import Iterations
from autoresearch.core.records import Event, LoopComplete, Record, Started, Stopped
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import KnobValue
from autoresearch.storage.decode import decode_trajectory
from autoresearch.storage.fold_cache import FoldCache, is_worth_writing
from autoresearch.storage.fold_state import capture, model_of, restore
from autoresearch.storage.journal import Journal
from autoresearch.storage.run_dir import RUN_CACHE, TRAJECTORY
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
    first_line = prefix.records + 1 if prefix else 1
    for record in decode_trajectory(lines, journal.path, first_line):
        trajectory.add(record, lines.place)
        last = record
        if isinstance(record, Started | Stopped | LoopComplete):
            ends.append(record)
    if is_worth_writing(lines, prefix):
        cache.write(_state_of(trajectory, ends, last), lines)
    return trajectory, ends if last is None or ends[-1:] == [last] else [*ends, last]


def _state_of(trajectory: Trajectory, ends: list[Event], last: Event | None) -> Any:
    tried = trajectory.tried.entries() if trajectory.tried else None
    return capture(RUN, trajectory, iterations=trajectory.iterations.places(), tried=tried, ends=ends, last=last)


def _restore(trajectory: Trajectory, state: Any) -> None:
    restore(trajectory, state, without=("iterations", "tried", "ends", "last"))
    trajectory.iterations.extend(state.iterations)
    if trajectory.meta is not None and state.tried is not None:
        trajectory.tried = Tried.of_entries(trajectory.meta.baseline_cfg, state.tried)
