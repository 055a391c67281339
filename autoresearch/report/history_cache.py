"""The cache of what ``status`` and ``report`` make of the beginning of a long trajectory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from autoresearch.core.trajectory import Totals
from autoresearch.report.native import HistoryBuilder
from autoresearch.storage.fold_cache import FoldCache
from autoresearch.storage.fold_state import capture, model_of, restore
from autoresearch.storage.run_dir import HISTORY_CACHE
from rails import Tried

TOTALS = model_of(Totals, without=("iterations", "results", "tried"))  # a report does not have these
HISTORY = model_of(HistoryBuilder, without=("damaged",), trajectory=TOTALS)


def history_cache(file: Path) -> FoldCache[Any]:
    """The cache beside the trajectory ``file``."""
    return FoldCache(file, HISTORY_CACHE, HISTORY)


def state_of(builder: HistoryBuilder) -> BaseModel:
    """What ``builder_of`` needs."""
    return capture(HISTORY, builder, trajectory=capture(TOTALS, builder.trajectory))


def builder_of(state: Any) -> HistoryBuilder:
    """The builder that ``state`` was taken of."""
    builder = restore(HistoryBuilder(), state, without=("trajectory",))
    builder.trajectory = restore(Totals(), state.trajectory)
    if (meta := builder.trajectory.meta) is not None:
        builder.trajectory.tried = Tried(meta.baseline_cfg)
    return builder
