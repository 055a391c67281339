"""Several trials at a time on this machine: its GPUs or equal shares of its cores, each with its own warm server."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Outcome, Suspended
from autoresearch.core.ports import NEVER_SUSPENDED, OnProgress, Seal, SuspendControl, Trial, not_sealed
from autoresearch.core.values import Cfg, sha256_of
from autoresearch.errors import ConfigError
from autoresearch.machine import usable_cpus
from autoresearch.storage.run_dir import LOGS
from autoresearch.trials.forked_trial import ForkedTrial
from autoresearch.trials.local_executor import MakeTrial
from autoresearch.trials.runner import ChildRunner
from autoresearch.trials.server import TrialServer
from autoresearch.trials.spec import Device
from autoresearch.verdicts.stop_limits import Limits

VISIBLE = "CUDA_VISIBLE_DEVICES"
HASH_CHARS = 16  # of a configuration's hash in the name of a checkpoint's folder


def count_workers(settings: Settings) -> int:
    """How many trials run at the same time."""
    return len(settings.executor.devices) or settings.executor.workers


def has_workers(settings: Settings) -> bool:
    """Whether trials run on workers with devices or cores of their own; a single named device is one."""
    executor = settings.executor
    return bool(executor.devices) or executor.workers > 1 or executor.kind != "local"


def count_ranks(settings: Settings) -> int:
    """The processes of one trial."""
    return settings.parallel.data * settings.parallel.tensor


def threads_per_worker(settings: Settings) -> int:
    """CPU threads of each process of a trial: as set, or an equal share of the usable cores."""
    ranks = 1 if settings.executor.kind == "local" else count_ranks(settings)
    return settings.threads or max(1, usable_cpus() // (count_workers(settings) * ranks))


def refuse_unfit_workers(settings: Settings) -> None:
    """Raise ``ConfigError`` where several workers and another setting do not go together."""
    devices, workers = settings.executor.devices, count_workers(settings)
    refuse_unfit_cluster(settings)
    if devices and settings.executor.workers not in (1, len(devices)):
        what = f"executor.workers = {settings.executor.workers} with {len(devices)} executor.devices"
        raise ConfigError(what, hint="leave executor.workers out: each device is one worker")
    if len(set(devices)) != len(devices):
        raise ConfigError(f"executor.devices names a device twice: {', '.join(devices)}", hint="name each once")
    if devices and settings.device == "cpu":
        raise ConfigError("executor.devices with device = 'cpu'", hint="use executor.workers, or device = 'cuda'")
    if not has_workers(settings):
        return
    if settings.budget.kind == "seconds":
        hint = "set budget.kind = 'flops' or 'steps': trials side by side slow each other down, and would train less"
        raise ConfigError(f"budget.kind = 'seconds' with {workers} workers", hint=hint)
    if settings.trainer == "command":
        hint = "set executor.workers = 1: two runs of one script share its files"
        raise ConfigError(f"trainer = 'command' with {workers} workers", hint=hint)
    ranks = count_ranks(settings)
    if ranks > 1 and settings.executor.kind == "local":
        hint = "set either [parallel] or [executor]: the ranks of one trial take all GPUs of this machine"
        raise ConfigError(f"several ranks for each trial with {workers} workers", hint=hint)
    here = settings.executor.kind != "slurm" and not settings.executor.address
    if here and not devices and threads_per_worker(settings) * ranks * workers > usable_cpus():
        what = f"{workers} workers of {threads_per_worker(settings) * ranks} threads on {usable_cpus()} cores"
        raise ConfigError(
            what, hint="lower executor.workers or threads: threads that share a core slow each other down"
        )


def refuse_unfit_cluster(settings: Settings) -> None:
    """Raise ``ConfigError`` where the executor's kind and another setting do not go together."""
    executor = settings.executor
    if executor.kind != "ray" and executor.address:
        raise ConfigError(f"executor.address with executor.kind = '{executor.kind}'", hint="set executor.kind = 'ray'")
    if executor.kind != "slurm" and executor.slurm:
        raise ConfigError(f"executor.slurm with executor.kind = '{executor.kind}'", hint="set executor.kind = 'slurm'")
    if executor.kind == "local":
        return
    if executor.devices:
        hint = "leave executor.devices out: each worker gets one GPU of a node; executor.workers limits their number"
        raise ConfigError(f"executor.devices with executor.kind = '{executor.kind}'", hint=hint)
    if executor.address and not settings.threads:
        hint = "set threads to the cores that one trial may use on any node: it is part of the yardstick"
        raise ConfigError("executor.address without threads", hint=hint)


def refuse_gpu_for_workers(settings: Settings, device: Device) -> None:
    """Raise ``ConfigError`` where several workers would share the one GPU that ``device = 'auto'`` found."""
    executor = settings.executor
    if device.device == "cuda" and executor.kind == "local" and not executor.devices and executor.workers > 1:
        hint = "name the GPUs: executor.devices = ['cuda:0', 'cuda:1']; or set device = 'cpu'"
        raise ConfigError(f"executor.workers = {executor.workers} on a GPU", hint=hint)


@dataclass(frozen=True, slots=True)
class CheckpointPerTrial:
    """A ``ForkedTrial`` whose checkpoint lies in a folder of its own: several trials may be suspended."""

    trial: ForkedTrial

    def measure(
        self,
        cfg: Cfg,
        seed: int,
        on_progress: OnProgress,
        suspend: SuspendControl = NEVER_SUSPENDED,
        seal: Seal = not_sealed,
        limits: Limits = (),
    ) -> Outcome | Suspended:
        """See ``ports.Trial``. Another worker finds the folder too: its name is made of configuration and seed."""
        folder = self.trial.checkpoint / f"{sha256_of(cfg)[:HASH_CHARS]}-{seed}"
        return replace(self.trial, checkpoint=folder).measure(cfg, seed, on_progress, suspend, seal, limits)


@dataclass(slots=True)
class LocalWorkers:
    """The servers of all workers, and what makes their trials. A server starts with the first trial of its worker."""

    servers: list[TrialServer]
    make_trials: list[MakeTrial]
    gpus: tuple[str, ...] = ()
    free_bytes: int | None = None  # of the device with the least; None: they share the machine's own memory

    def close(self) -> None:
        for server in self.servers:
            server.close()


def build_workers(
    settings: Settings, run_dir: Path, trial: ForkedTrial, device: Device, aborted: Callable[[], bool]
) -> LocalWorkers:
    """A server and a trial for each worker, like ``trial`` but for device, cores and its share of memory.

    Raises ``ConfigError`` with the name of a device that is not of the kind of ``device``; no server is left then.
    """
    built = LocalWorkers([], [])
    try:
        for n in range(count_workers(settings)):
            server = TrialServer(settings.trainer, run_dir / LOGS / f"trial-server-{n}.log", *_place(settings, n))
            built.servers.append(server)
            if settings.executor.devices:
                found = _same_device(settings, n, server, device, aborted)
                built.gpus += found.gpus[:1]
                free = [f for f in (built.free_bytes, found.free_bytes) if f is not None]
                built.free_bytes = min(free, default=None)
            built.make_trials.append(_maker(server, trial))
    except BaseException:
        built.close()
        raise
    return built


def _maker(server: TrialServer, trial: ForkedTrial) -> MakeTrial:
    def make_trial(aborted: Callable[[], bool]) -> Trial:
        return CheckpointPerTrial(replace(trial, runner=ChildRunner(server, aborted)))

    return make_trial


def _place(settings: Settings, n: int) -> tuple[Mapping[str, str], Sequence[int]]:
    """Environment and cores of worker ``n``: one GPU, or its share of the cores."""
    if settings.executor.devices:
        return {VISIBLE: _visible(settings.executor.devices[n])}, ()
    cores, each = sorted(os.sched_getaffinity(0)), threads_per_worker(settings)
    return {}, cores[n * each : (n + 1) * each]


def _visible(device: str) -> str:
    """What ``CUDA_VISIBLE_DEVICES`` is set to for ``cuda:N``, which counts the devices that it leaves visible now."""
    number = int(device.rpartition(":")[2])
    listed = [name for name in os.environ.get(VISIBLE, "").split(",") if name]
    if not listed:
        return str(number)
    if number >= len(listed):
        raise ConfigError(f"executor.devices: there is no {device}", hint=f"{VISIBLE} leaves {len(listed)} visible")
    return listed[number]


def _same_device(settings: Settings, n: int, server: TrialServer, first: Device, aborted: Callable[[], bool]) -> Device:
    name = settings.executor.devices[n]
    found = ChildRunner(server, aborted).probe("cuda", settings.trainer, settings.limits.deadline_s)
    for field in ("kind", "versions"):
        if (theirs := getattr(found, field)) != (ours := getattr(first, field)):
            hint = "leave it out of executor.devices: what it measures is not comparable with the others"
            raise ConfigError(f"{name} differs from the first device: {field} {theirs}, not {ours}", hint=hint)
    return found
