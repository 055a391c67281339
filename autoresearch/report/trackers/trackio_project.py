"""Runs in a project of Trackio: in a directory, or where the variables of Trackio send them."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout
from typing import Any

from autoresearch.errors import AutoresearchError
from autoresearch.report.trackers.tracked_run import CURVE, TrackedRun
from autoresearch.report.trackers.tracker import PROJECT, Place

REMOTE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")


class TrackioProject:
    """A ``Tracker``. Its library reads its directory from the environment when it is imported: one per process."""

    def __init__(self, place: Place) -> None:
        environ = place.environ or {}
        self._remote = any(environ.get(name) for name in REMOTE)
        if not environ.get("TRACKIO_DIR"):
            os.environ["TRACKIO_DIR"] = str(place.path.absolute())
        if not self._remote:
            for name in REMOTE:
                os.environ.pop(name, None)
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        import trackio

        self._trackio: Any = trackio
        self._project = environ.get("TRACKIO_PROJECT") or PROJECT

    def write(self, run: TrackedRun) -> None:
        name = f"{run.group} {run.name}"
        if not self._remote and self._logs(name):
            if self._is_whole(name):
                return
            self._trackio.SQLiteStorage.delete_run(self._project, name)
        with redirect_stdout(io.StringIO()):  # it reports each run
            self._trackio.init(
                project=self._project,
                name=name,
                group=run.group,
                config={**run.params, "autoresearch": dict(run.tags)},
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
            for step, loss in enumerate(run.curve):
                self._trackio.log({CURVE: loss}, step=step)
            self._trackio.log({"iter": run.iter, **run.metrics}, step=len(run.curve))  # last: the run is whole
            self._trackio.finish()
        if not self._remote and not self._is_whole(name):
            hint = "is its disk full? the same command writes it again"
            raise AutoresearchError(f"Trackio did not keep the run {name!r}", hint=hint)

    def close(self) -> None:
        pass

    def _logs(self, name: str) -> list[dict[str, Any]]:
        return list(self._trackio.SQLiteStorage.get_logs(self._project, name))

    def _is_whole(self, name: str) -> bool:
        return any("iter" in entry for entry in self._logs(name))
