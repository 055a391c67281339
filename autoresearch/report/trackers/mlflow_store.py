"""Runs in an experiment of MLflow: of an SQLite file, or of the server of ``MLFLOW_TRACKING_URI``. Others stay."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from autoresearch.report.trackers.tracked_run import CURVE, TrackedRun
from autoresearch.report.trackers.tracker import PROJECT, Place
from autoresearch.report.trial_export.candidates import State

if TYPE_CHECKING:
    from mlflow.entities import Experiment

STATUS: Mapping[State, str] = {"measured": "FINISHED", "failed": "FAILED", "stopped early": "KILLED"}
ID_TAG = "autoresearch.id"
MAX_BATCH = 100  # parameters, tags or metrics of one request


class MlflowStore:
    """A ``Tracker``. A run is found again by its tag ``autoresearch.id``, so that none is written twice."""

    def __init__(self, place: Place) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        environ = place.environ or {}
        local = f"sqlite:///{place.path.absolute()}"
        self._client = MlflowClient(tracking_uri=environ.get("MLFLOW_TRACKING_URI") or local)
        name = environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
        found: Experiment | None = self._client.get_experiment_by_name(name)
        self._experiment = found.experiment_id if found else self._client.create_experiment(name)

    def write(self, run: TrackedRun) -> None:
        from mlflow.entities import Metric, Param, RunTag

        started, ended = _milliseconds(run.started), _milliseconds(run.ended)
        found = self._client.search_runs([self._experiment], f"tags.`{ID_TAG}` = '{run.id}'", max_results=1)
        if found and found[0].info.status != "RUNNING":
            return
        tags = {ID_TAG: run.id, **{f"autoresearch.{name}": text for name, text in run.tags.items()}}
        made = (
            found[0]
            if found
            else self._client.create_run(self._experiment, start_time=started, run_name=run.name, tags={ID_TAG: run.id})
        )
        # The times are the records': what is written again after a kill is equal, and MLflow keeps it once.
        curve = [Metric(CURVE, loss, started, step) for step, loss in enumerate(run.curve)]
        metrics = [Metric(key(name), value, ended, 0) for name, value in run.metrics.items()]
        params = [Param(key(name), str(value)) for name, value in run.params.items()]
        for some in _batches([*curve, *metrics]):
            self._client.log_batch(made.info.run_id, metrics=some)
        for some in _batches(params):
            self._client.log_batch(made.info.run_id, params=some)
        for some in _batches([RunTag(key(name), text) for name, text in tags.items()]):
            self._client.log_batch(made.info.run_id, tags=some)
        self._client.set_terminated(made.info.run_id, STATUS[run.state], ended)

    def close(self) -> None:
        pass


def key(name: str) -> str:
    """A name as MLflow takes it: letters, digits, ``_``, ``-``, ``.``, space, and no path that leaves its folder."""
    text = re.sub(r"[^\w.\- ]", "_", name).strip(". ")
    return text or "_"


def _batches(items: Sequence[Any]) -> Iterator[list[Any]]:
    return (list(items[start : start + MAX_BATCH]) for start in range(0, len(items), MAX_BATCH))


def _milliseconds(when: datetime) -> int:
    return round(when.timestamp() * 1000)
