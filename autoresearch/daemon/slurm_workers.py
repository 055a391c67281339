"""Trials on a Slurm cluster: the session of this start, and a runner of jobs in place of the local trial server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autoresearch.config.settings import Settings
from autoresearch.core.ports import Trial
from autoresearch.core.values import Cfg
from autoresearch.daemon.local_workers import CheckpointPerTrial, count_ranks, count_workers
from autoresearch.energy.sensors.select import SelectedSensor
from autoresearch.energy.sensors.sensor import NoSensor
from autoresearch.errors import ConfigError
from autoresearch.storage.run_dir import LOGS
from autoresearch.trials.estimate import Estimator
from autoresearch.trials.forked_trial import ForkedTrial
from autoresearch.trials.local_executor import MakeTrial
from autoresearch.trials.slurm.cluster import Cluster, SlurmCluster
from autoresearch.trials.slurm.job_folder import Expected
from autoresearch.trials.slurm.resources import SERVER_BYTES, trial_memory_bytes
from autoresearch.trials.slurm.runner import SlurmRunner
from autoresearch.trials.slurm.session import SlurmSession
from autoresearch.trials.spec import Device

# What autoresearch sets itself: another value would break a rule that it relies on.
OWN_OPTIONS = frozenset(
    [
        "array",
        "begin",
        "chdir",
        "cpus-per-task",
        "dependency",
        "error",
        "export",
        "export-file",
        "gpus",
        "gpus-per-node",
        "input",
        "job-name",
        "mem",
        "mem-per-cpu",
        "mem-per-gpu",
        "no-requeue",
        "nodes",
        "ntasks",
        "ntasks-per-node",
        "open-mode",
        "output",
        "requeue",
        "signal",
        "time",
        "wait",
        "wrap",
    ]
)


def refuse_unfit_slurm(settings: Settings) -> None:
    """Raise ``ConfigError`` where executor slurm and another setting do not go together."""
    if not settings.threads:
        hint = "set threads: the CPUs that each job asks for and the threads of each trial"
        raise ConfigError("executor.kind = 'slurm' without threads", hint=hint)
    if settings.device == "auto":
        hint = "set device = 'cpu' or 'cuda': a job asks Slurm for a GPU or does not"
        raise ConfigError("executor.kind = 'slurm' with device = 'auto'", hint=hint)
    if own := sorted(OWN_OPTIONS.intersection(settings.executor.slurm)):
        raise ConfigError(f"executor.slurm sets {', '.join(own)}", hint="leave it out: autoresearch sets it itself")


@dataclass(frozen=True, slots=True)
class SlurmWorkers:
    """A session with what is measured through it; ``close`` ends its jobs."""

    session: SlurmSession
    runner: SlurmRunner
    most_bytes: int  # that a trial may take on the smallest node

    def close(self) -> None:
        self.session.close()

    def make_trials(
        self, settings: Settings, trial: ForkedTrial, estimator: Estimator, expected: Expected
    ) -> Sequence[MakeTrial]:
        """A trial for each job that may run at the same time."""
        self.session.expected = expected

        def memory_for(cfg: Cfg) -> int:
            estimated, gpus = estimator(cfg).peak_bytes, count_ranks(settings) if settings.device == "cuda" else 0
            return trial_memory_bytes(estimated, self.most_bytes, gpus)

        def make_trial(aborted: Callable[[], bool]) -> Trial:
            runner = replace(self.runner, aborted=aborted)
            return CheckpointPerTrial(replace(trial, runner=runner, memory_for=memory_for))

        return [make_trial] * count_workers(settings)


def open_slurm(
    settings: Settings, run_dir: Path, aborted: Callable[[], bool], cluster: Cluster | None = None
) -> tuple[SlurmWorkers, SlurmRunner, Device]:
    """End the jobs of an earlier start and look at the device in a first job; the caller closes the workers.

    Raises ``ConfigError``, ``MissingPackage`` or ``TrialServerError``, with nothing left running.
    """
    refuse_unfit_slurm(settings)
    cluster = cluster or SlurmCluster(settings.executor.slurm)
    most = cluster.node_bytes() - SERVER_BYTES
    if settings.limits.memory_gib:
        most = min(most, int(settings.limits.memory_gib * 2**30))
    ranks = count_ranks(settings)
    gpus = ranks if settings.device == "cuda" else 0
    session = SlurmSession(cluster, run_dir, run_dir / LOGS, (settings.threads or 1) * ranks, gpus)
    runner = SlurmRunner(session, settings.trainer, aborted)
    try:
        session.open()
        device = runner.probe(settings.device, settings.trainer, settings.limits.deadline_s)
    except BaseException:
        session.close()
        raise
    return SlurmWorkers(session, runner, most), runner, device


def no_sensor() -> SelectedSensor:
    """Of a run whose trials run elsewhere: the sensors of this machine do not measure them."""
    return SelectedSensor(NoSensor(), ("executor slurm: trials run on other machines",))
