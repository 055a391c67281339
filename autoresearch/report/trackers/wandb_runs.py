"""Runs of Weights & Biases: offline in a directory, or sent to its server where its variables ask for that."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from typing import Any

from autoresearch.report.trackers.tracked_run import CURVE, TrackedRun
from autoresearch.report.trackers.tracker import PROJECT, Place


class WandbRuns:
    """A ``Tracker``. Runs have fixed ids: the server takes one that is sent again as the same run."""

    def __init__(self, place: Place) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        self._wandb, self._path = wandb, place.path
        self._path.mkdir(parents=True, exist_ok=True)
        environ = place.environ or {}
        self._mode: Any = "offline" if place.environ is None else mode_of(environ)
        self._project = environ.get("WANDB_PROJECT") or PROJECT
        self._entity = environ.get("WANDB_ENTITY") or None
        if self._mode == "offline":  # a variable must not ask for a login of an offline run
            os.environ["WANDB_MODE"] = "offline"

    def write(self, run: TrackedRun) -> None:
        if self._mode == "offline":
            self._remove_unfinished(run.id)
        settings = self._wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            x_disable_stats=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
        )
        made = self._wandb.init(
            project=self._project,
            entity=self._entity,
            id=run.id,
            name=run.name,
            group=run.group,
            job_type=run.tags.get("role"),
            notes=run.tags.get("reason"),
            config={**run.params, "autoresearch": dict(run.tags)},
            tags=[run.state],
            dir=str(self._path),
            mode=self._mode,
            resume=None if self._mode == "offline" else "allow",
            settings=settings,
        )
        for step, loss in enumerate(run.curve):
            made.log({CURVE: loss}, step=step)
        made.summary.update({"iter": run.iter, **run.metrics})
        made.finish(exit_code=int(run.state == "failed"))

    def close(self) -> None:
        self._wandb.teardown()

    def _remove_unfinished(self, run_id: str) -> None:
        """Remove what a kill left of this run: only this program gives runs such an id."""
        ours = re.compile(rf"offline-run-\d{{8}}_\d{{6}}-{re.escape(run_id)}")
        for folder in (self._path / "wandb").glob("offline-run-*"):
            if ours.fullmatch(folder.name):
                shutil.rmtree(folder)


def mode_of(environ: Mapping[str, str]) -> str:
    """``WANDB_MODE``, or else online where there is a key: without one its library would ask for it."""
    return environ.get("WANDB_MODE") or ("online" if environ.get("WANDB_API_KEY") else "offline")
