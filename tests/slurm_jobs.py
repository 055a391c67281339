"""What the jobs of a session are for."""

from __future__ import annotations

from autoresearch.trials.requests import TrialRequest
from autoresearch.trials.slurm.job_folder import REQUEST, JobFolder, JobRequest
from autoresearch.trials.slurm.session import SlurmSession


def seed_of_job(session: SlurmSession, name: str) -> int | None:
    """The seed that the job of this name measures, if it measures a trial."""
    found = JobFolder(session.path / name.removeprefix(session.prefix)).read(REQUEST, JobRequest)
    return found.request.spec.seed if found and isinstance(found.request, TrialRequest) else None
