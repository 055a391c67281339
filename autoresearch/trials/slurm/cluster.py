"""Slurm behind a port of four calls. Jobs are submitted through submitit; states are read from squeue, then sacct."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from autoresearch.config.secrets import without_secrets
from autoresearch.errors import TrialServerError, missing_extra
from autoresearch.trials.slurm.job import run_job
from autoresearch.trials.slurm.resources import Resources
from autoresearch.trials.slurm.states import JobState, parse_sacct, parse_squeue

CALL_DEADLINE_S = 60.0
MAX_NAME_CHARS = 200
LAST_CHARS = 300  # of what a program printed, in an error
UNREACHABLE = ("Unable to contact slurm controller", "Socket timed out", "Connection refused")  # of sbatch


class ControllerUnreachable(TrialServerError):
    """Slurm's controller does not answer. A job may have been submitted all the same."""


class Cluster(Protocol):
    """What a session needs of Slurm. Called from several threads."""

    def submit(self, folder: Path, name: str, resources: Resources, exclude: Sequence[str]) -> str:
        """Submit ``job.run_job(folder)``, not to be requeued; the job's number.

        Raises ``ControllerUnreachable``, or another ``TrialServerError`` where trying again does not help.
        """
        ...

    def states(self, jobs: Collection[str]) -> Mapping[str, JobState] | None:
        """The states of those jobs that Slurm knows; ``None`` where it does not answer."""
        ...

    def cancel(self, jobs: Collection[str]) -> None:
        """Have Slurm end jobs; those that have ended are ignored."""
        ...

    def open_jobs(self, prefix: str) -> list[str]:
        """This user's jobs of such a name that have not ended. Raises ``TrialServerError``."""
        ...

    def node_bytes(self) -> int:
        """The memory of the smallest node that jobs may get. Raises ``TrialServerError``."""
        ...


@dataclass(slots=True)
class SlurmCluster:
    """See ``Cluster``. ``options`` are further options of sbatch by their long names, for example ``partition``."""

    options: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    job: Callable[[str], None] = run_job
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def submit(self, folder: Path, name: str, resources: Resources, exclude: Sequence[str]) -> str:
        """See ``Cluster``. One at a time: submitit's throttle and its warnings are not made for threads."""
        try:
            from submitit import SlurmExecutor
            from submitit.core.utils import FailedJobError, FailedSubmissionError
        except ImportError as e:
            raise missing_extra("executor.kind = 'slurm'", "submitit", "slurm") from e
        try:
            executor = SlurmExecutor(folder, max_num_timeout=0)
        except RuntimeError as e:
            raise TrialServerError(f"jobs cannot be submitted: {e}", hint="run this where srun and sbatch are") from e
        executor.update_parameters(**self._parameters(name, resources, exclude))
        try:
            with self._lock:
                return str(executor.submit(self.job, str(folder)).job_id)
        except (FailedJobError, FailedSubmissionError, OSError) as e:
            why = str(e)[-LAST_CHARS:]
            if any(text in str(e) for text in UNREACHABLE):
                raise ControllerUnreachable(f"sbatch reaches no controller: {why}", hint="see `scontrol ping`") from e
            raise TrialServerError(f"sbatch refuses a job: {why}", hint=self._advise(resources)) from e

    def _parameters(self, name: str, resources: Resources, exclude: Sequence[str]) -> dict[str, Any]:
        """submitit's parameters. The job's environment is ours without secrets: sbatch hands over all of it."""
        more = {
            **self.options,
            "no-requeue": True,
            "mem": f"{resources.memory_mib}M",
            "export": exported_names(self.environ),
        }
        if exclude:
            more["exclude"] = ",".join([*exclude, *filter(None, [self.options.get("exclude")])])
        parameters: dict[str, Any] = {
            "job_name": name,
            "time": resources.minutes,
            "nodes": 1,
            "ntasks_per_node": 1,
            "cpus_per_task": resources.cpus,
            "additional_parameters": more,
            "srun_args": ["--export=ALL"],  # of what the job got, and what submitit's script adds to it
        }
        if resources.gpus:
            parameters["gpus_per_node"] = resources.gpus
        return parameters

    def _advise(self, resources: Resources) -> str:
        asked = f"it asked for {resources.cpus} CPUs, {resources.memory_mib} MiB, {resources.minutes} min"
        gpu = " and a GPU" if resources.gpus else ""
        return f"{asked}{gpu}; see sinfo, and set executor.slurm = {{partition = 'NAME'}}"

    def states(self, jobs: Collection[str]) -> Mapping[str, JobState] | None:
        if not jobs:
            return {}
        listed = self._call("squeue", "--noheader", "--states=all", f"--jobs={','.join(jobs)}", "--format=%i|%T|%r|%N")
        found = parse_squeue(listed.stdout)
        # With one number it fails once the controller has forgotten the job; with several it leaves that one out.
        if listed.returncode and "Invalid job id" not in listed.stderr:
            return None
        if missing := [job for job in jobs if job not in found]:
            columns = "--format=JobID,State,NodeList"
            told = self._call("sacct", "--noheader", "--parsable2", "-X", f"--jobs={','.join(missing)}", columns)
            found |= parse_sacct(told.stdout) if told.returncode == 0 else {}  # it fails without accounting
        return found

    def cancel(self, jobs: Collection[str]) -> None:
        if jobs:
            self._call("scancel", *jobs)

    def open_jobs(self, prefix: str) -> list[str]:
        listed = self._call("squeue", "--noheader", "--me", "--format=%i|%j")
        if listed.returncode:
            why = listed.stderr.strip()[-LAST_CHARS:]
            raise TrialServerError(f"squeue does not answer: {why}", hint="see `scontrol ping`; then start again")
        rows = (line.strip().split("|", 1) for line in listed.stdout.splitlines())
        return [row[0] for row in rows if len(row) == 2 and row[0].isdigit() and row[1].startswith(prefix)]

    def node_bytes(self) -> int:
        partition = self.options.get("partition")
        listed = self._call("sinfo", "--noheader", "--format=%m", *([f"--partition={partition}"] if partition else []))
        sizes = [int(size) for size in re.findall(r"^(\d+)\+?\s*$", listed.stdout, re.MULTILINE)]
        if listed.returncode or not sizes:
            why = (listed.stderr.strip() or f"it printed {listed.stdout.strip()!a}")[-LAST_CHARS:]
            raise TrialServerError(f"sinfo names no node's memory: {why}", hint="see sinfo; or set limits.memory_gib")
        return min(sizes) << 20

    def _call(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run one of Slurm's programs; code 127 and the reason where it cannot be run or does not answer."""
        env = without_secrets(self.environ)
        try:
            return subprocess.run(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=CALL_DEADLINE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as e:
            return subprocess.CompletedProcess(command, 127, "", str(e))


def exported_names(environ: Mapping[str, str]) -> str:
    """Names of the variables that a job gets, for ``sbatch --export``: all but secrets and those of an outer job."""
    names = [name for name in without_secrets(environ) if re.fullmatch(r"[A-Za-z_]\w*", name)]
    kept = sorted(n for n in names if not n.startswith(("SLURM_", "SLURMD_", "SBATCH_", "SRUN_")) or n == "SLURM_CONF")
    return ",".join(kept) or "NIL"
