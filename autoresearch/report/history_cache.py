"""The cache of what ``status`` and ``report`` make of the beginning of a long trajectory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, PlainSerializer, TypeAdapter

from autoresearch.core.trajectory import Totals
from autoresearch.report.history import Row
from autoresearch.report.native import HistoryBuilder
from autoresearch.storage.fold_cache import FoldCache
from autoresearch.storage.fold_state import STRICT, capture, model_of, restore
from autoresearch.storage.run_dir import HISTORY_CACHE
from rails import Tried

ROWS = TypeAdapter(list[Row], config=STRICT)
# Most fields of a row have their default: without these a cache is two thirds as long, and read in less time.
Rows = Annotated[list[Row], PlainSerializer(lambda rows: ROWS.dump_python(rows, mode="json", exclude_defaults=True))]
TOTALS = model_of(Totals, without=("iterations", "results", "tried"))  # a report does not have these
HISTORY = model_of(HistoryBuilder, without=("damaged",), trajectory=TOTALS, rows=Rows)


def history_cache(file: Path) -> FoldCache[Any]:
    """The cache beside the trajectory ``file``."""
    return FoldCache(file, HISTORY_CACHE, HISTORY)


def state_of(builder: HistoryBuilder) -> BaseModel:
    """What ``builder_of`` needs."""
    return capture(HISTORY, builder, trajectory=capture(TOTALS, builder.trajectory), rows=builder.rows)


def builder_of(state: Any) -> HistoryBuilder:
    """The builder that ``state`` was taken of."""
    builder = restore(HistoryBuilder(), state, without=("trajectory",))
    builder.trajectory = restore(Totals(), state.trajectory)
    if (meta := builder.trajectory.meta) is not None:
        builder.trajectory.tried = Tried(meta.baseline_cfg)
    return builder
