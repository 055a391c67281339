"""Trials on the nodes of a Ray cluster: the plan of a worker with the same warm server and forked trials as here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autoresearch.config.settings import Settings
from autoresearch.core.executor import TrialOrder
from autoresearch.core.ports import Trial
from autoresearch.core.values import Cfg
from autoresearch.daemon.local_workers import CheckpointPerTrial, count_ranks, count_workers, threads_per_worker
from autoresearch.daemon.trainer_code import PACKAGE, own_code
from autoresearch.data.corpus import Corpus
from autoresearch.energy.sensors.select import SelectedSensor
from autoresearch.energy.sensors.sensor import NoSensor
from autoresearch.machine import spare_bytes, total_bytes
from autoresearch.storage.run_dir import CHECKPOINT, LOGS
from autoresearch.trials.forked_trial import ForkedTrial
from autoresearch.trials.remote.executor import RemoteExecutor
from autoresearch.trials.remote.fleet import Fleet
from autoresearch.trials.remote.ports import Greeting, Job, NodeFacts
from autoresearch.trials.remote.ray_cluster import RayCluster, Resources, monitor_warning
from autoresearch.trials.runner import ChildRunner
from autoresearch.trials.server import TrialServer
from autoresearch.trials.spec import Device, TrialSpec

KEY_CHARS = 16  # of the hash that names the workers of one run
NOT_MEASURED = "trials run on several machines, and a sensor of this one would count the wrong joules"


@dataclass(slots=True)
class ForkedWorker:
    """A worker on its node: see ``trials.remote.ports.OpenWorker``. The spec of each trial comes with it."""

    greeting: Greeting
    server: TrialServer
    trial: ForkedTrial
    spec: TrialSpec | None = None

    def prepare(self, job: Job) -> None:
        self.spec = TrialSpec.model_validate_json(job.payload)

    def make_trial(self, aborted: Callable[[], bool]) -> Trial:
        """See ``local_executor.MakeTrial``."""
        runner = ChildRunner(self.server, aborted)
        return CheckpointPerTrial(replace(self.trial, runner=runner, spec=self._prepared))

    def close(self) -> None:
        self.server.close()

    def _prepared(self, _cfg: Cfg, _seed: int) -> TrialSpec:
        assert self.spec is not None, "a trial is prepared before it is submitted"
        return self.spec


@dataclass(frozen=True, slots=True)
class ForkedTrialPlan:
    """Opens a ``ForkedWorker`` on a node. ``corpus`` and ``run_dir`` are paths there too."""

    trainer: str
    device: str
    threads: int
    corpus: str
    run_dir: str
    deadline_s: float
    memory_cap_bytes: int | None
    make_server: type[TrialServer] = TrialServer

    def open(self, name: str, verify: bool, places: int) -> ForkedWorker:
        """Probe the device and read the corpus. Raises ``TrialServerError``, ``CorpusError`` or ``OSError``."""
        run_dir = Path(self.run_dir)
        logs = run_dir / LOGS
        logs.mkdir(parents=True, exist_ok=True)
        corpus = Corpus.open(Path(self.corpus), verify=verify)
        # Ray sets OMP_NUM_THREADS to the CPUs of the actor, which is not what the yardstick says.
        server = self.make_server(
            self.trainer, logs / f"trial-server-{name}.log", {"OMP_NUM_THREADS": str(self.threads)}
        )
        try:
            device = ChildRunner(server, lambda: False).probe(self.device, self.trainer, self.deadline_s)
        finally:
            server.close()  # it dies with the thread that started it: the one that measures starts the next
        share = None if device.free_bytes is not None else spare_bytes() // max(1, places)
        caps = [cap for cap in (self.memory_cap_bytes, share) if cap is not None]
        greeting = Greeting(
            facts=node_facts(device, corpus.sha256),
            warning=monitor_warning(os.environ, total_bytes()),
            free_bytes=device.free_bytes if share is None else share,
        )
        checkpoint = run_dir / CHECKPOINT
        trial = ForkedTrial(
            ChildRunner(server, lambda: False),
            _not_prepared,
            self.deadline_s,
            logs,
            checkpoint,
            min(caps, default=None),
        )
        return ForkedWorker(greeting, server, trial)


def _not_prepared(_cfg: Cfg, _seed: int) -> TrialSpec:
    raise AssertionError("the spec of a trial comes with it")


def node_facts(device: Device, corpus_sha256: str) -> NodeFacts:
    """What this machine tells in the handshake."""
    code = hashlib.sha256()
    for path in own_code():
        code.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes())
    return NodeFacts(
        device_kind=device.kind,
        versions=device.versions,
        corpus_sha256=corpus_sha256,
        code_sha256=code.hexdigest(),
    )


@dataclass(slots=True)
class RemoteFleet:
    """The executor of a run on a cluster, before and after it is connected."""

    cluster: RayCluster
    fleet: Fleet
    notify: Callable[[str], None]
    executor: RemoteExecutor | None = None

    @property
    def workers(self) -> int:
        return self.fleet.workers

    @property
    def free_bytes(self) -> int | None:
        """What a trial may take on the node with the least; ``None`` before there is a worker."""
        return self.executor.free_bytes if self.executor else None

    def open(self, aborted: Callable[[], bool], suspend_requested: Callable[[], bool]) -> RemoteExecutor:
        """Connect, end what an earlier daemon left, greet every node. Raises ``ConfigError``."""
        self.notify(f"connecting to Ray at {self.cluster.address or 'loopback'}")
        self.cluster.open()
        executor = RemoteExecutor(self.cluster, self.fleet, aborted, suspend_requested, self.notify)
        try:
            executor.open()
        except BaseException:
            executor.close()
            raise
        self.notify(f"{executor.capacity} of {self.workers} workers are ready")
        self.executor = executor
        return executor


def run_key(run_dir: Path) -> str:
    """The beginning of the names of this run's workers in the cluster."""
    return f"{hashlib.sha256(str(run_dir.resolve()).encode()).hexdigest()[:KEY_CHARS]}-"


def ray_fields(
    settings: Settings,
    run_dir: Path,
    trial: ForkedTrial,
    device: Device,
    corpus: Corpus,
    notify: Callable[[str], None],
) -> dict[str, Any]:
    """The fields of a ``TrialBackend`` whose trials run on a Ray cluster; ``trial`` measures on this machine."""
    workers, threads = count_workers(settings), threads_per_worker(settings)
    ranks = count_ranks(settings)
    resources = Resources(cpus=threads * ranks, gpus=ranks if device.device == "cuda" else 0)
    plan = ForkedTrialPlan(
        trainer=settings.trainer,
        device=device.device,
        threads=threads,
        corpus=str(corpus.path.resolve()),
        run_dir=str(run_dir.resolve()),
        deadline_s=trial.deadline_s,
        memory_cap_bytes=trial.memory_cap_bytes,
    )

    def spec_of(order: TrialOrder) -> str:
        return trial.spec(order.cfg, order.seed).model_dump_json()

    cluster = RayCluster(run_key(run_dir), resources, settings.executor.address, workers)
    fleet = Fleet(plan, workers, resources.places, node_facts(device, corpus.sha256), spec_of)
    fields: dict[str, Any] = {"fleet": RemoteFleet(cluster, fleet, notify)}
    if settings.executor.address:
        fields["select_sensor"] = lambda: SelectedSensor(NoSensor(), (NOT_MEASURED,))
    if device.free_bytes is None and not settings.executor.address:
        fields["free_accelerator_bytes"] = spare_bytes() // workers
    return fields
