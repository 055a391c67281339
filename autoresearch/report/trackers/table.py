"""The trackers: their packages, their extra, and what opens each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

from autoresearch.errors import missing_extra
from autoresearch.report.trackers.tracker import Place, Tracker


def _mlflow(place: Place) -> Tracker:
    from autoresearch.report.trackers.mlflow_store import MlflowStore

    return MlflowStore(place)


def _wandb(place: Place) -> Tracker:
    from autoresearch.report.trackers.wandb_runs import WandbRuns

    return WandbRuns(place)


def _tensorboard(place: Place) -> Tracker:
    from autoresearch.report.trackers.tensorboard_logs import TensorboardLogs

    return TensorboardLogs(place)


def _trackio(place: Place) -> Tracker:
    from autoresearch.report.trackers.trackio_project import TrackioProject

    return TrackioProject(place)


@dataclass(frozen=True, slots=True)
class TrackerSpec:
    """One tracker."""

    packages: tuple[str, ...]
    extra: str
    open: Callable[[Place], Tracker]
    is_file: bool  # whether an export is one file, or a directory
    streams: bool  # whether `run --track` can feed it
    destination: tuple[str, ...] = ()  # variables that say where its library sends runs


TRACKERS: Mapping[str, TrackerSpec] = {
    "mlflow": TrackerSpec(
        ("mlflow", "sqlalchemy", "alembic"),
        "mlflow",
        _mlflow,
        is_file=True,
        streams=True,
        destination=("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"),
    ),
    "wandb": TrackerSpec(
        ("wandb",),
        "wandb",
        _wandb,
        is_file=False,
        streams=True,
        destination=("WANDB_MODE", "WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_PROJECT"),
    ),
    "tensorboard": TrackerSpec(("tensorboard",), "tensorboard", _tensorboard, is_file=False, streams=False),
    "trackio": TrackerSpec(
        ("trackio",),
        "trackio",
        _trackio,
        is_file=False,
        streams=True,
        destination=("TRACKIO_DIR", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_PROJECT"),
    ),
}
STREAMED = tuple(name for name, spec in TRACKERS.items() if spec.streams)


def refuse_missing_tracker(tool: str, feature: str) -> None:
    """Raise ``MissingPackage`` where the tool's library is not installed."""
    spec = TRACKERS[tool]
    if missing := [name for name in spec.packages if find_spec(name) is None]:
        raise missing_extra(feature, missing, spec.extra)


@contextmanager
def open_tracker(tool: str, place: Place) -> Iterator[Tracker]:
    """The tracker, closed at the end. Raises ``MissingPackage``, and errors of its library."""
    refuse_missing_tracker(tool, f"writing for {tool}")
    tracker = TRACKERS[tool].open(place)
    try:
        yield tracker
    finally:
        tracker.close()
