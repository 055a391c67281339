"""A job of Slurm whose trial is of the stand-in trainer: what ``slurm.cluster.SlurmCluster`` submits in a test."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from autoresearch.testing.stand_in_trainer import StandInServer
from autoresearch.trials.runner import ChildRunner, RequestRunner
from autoresearch.trials.slurm.job import catch_signals, do_request
from autoresearch.trials.slurm.job_folder import JobFolder, JobRequest


def run_stand_in_job(folder: str) -> None:
    """See ``slurm.job.run_job``."""
    here = JobFolder(Path(folder))
    if here.claim(os.environ.get("SLURM_JOB_ID", "")):
        do_request(here, os.environ, fork_stand_in, catch_signals)


def fork_stand_in(request: JobRequest, folder: Path, aborted: Callable[[], bool]) -> RequestRunner:
    return ChildRunner(StandInServer(request.trainer, folder / "trial-server.log"), aborted)
