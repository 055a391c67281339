"""A real Ray cluster on this machine: a head without CPUs, and nodes by name, each with a raylet of its own.

The nodes share the machine's kernel and memory: a lost one is one whose processes were killed, a
silent one is one whose processes were stopped.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from autoresearch.core.executor import TrialOrder
from autoresearch.daemon.remote_workers import ForkedTrialPlan, node_facts
from autoresearch.data.corpus import Corpus
from autoresearch.testing.stand_in_trainer import StandInServer, stand_in_device, stand_in_spec
from autoresearch.trials.remote.executor import RemoteExecutor
from autoresearch.trials.remote.fleet import Fleet
from autoresearch.trials.remote.ray_cluster import OBJECT_STORE_BYTES, RayCluster, Resources, own_environment
from tests.stand_in import DEADLINE_S, MEMORY_BYTES

ACTOR = "ray::WorkerActor"  # the title of a worker's process
QUICK_HEALTH_CHECK = {  # else Ray needs a minute to notice that a node does not answer
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 3000,
    "health_check_failure_threshold": 3,
}


def missing_for_ray() -> str:
    """Why no cluster can be started here, or an empty string. Ray reads its environment at import: not here."""
    return "" if find_spec("ray") else "not installed: ray (extra [ray])"


@dataclass(slots=True)
class RayNodes:
    """See the module."""

    cluster: Any
    nodes: dict[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, name: str, env: Mapping[str, str] | None = None, cpus: int = 1) -> None:
        """Start a node, with additional environment variables for all that runs on it."""
        arguments = {
            "num_cpus": cpus,
            "node_name": name,
            "node_ip_address": "127.0.0.1",
            "object_store_memory": OBJECT_STORE_BYTES,
            "env_vars": dict(env or {}),
        }
        for last in (False, False, True):
            try:
                self.nodes[name] = self.cluster.add_node(**arguments)
                return
            except Exception:  # on a busy machine it may not be ready within Ray's 30 s
                self._end_half_started(name)
                if last:
                    raise

    def _end_half_started(self, name: str) -> None:
        import psutil

        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if f"--node-name={name}" in process.cmdline():
                    for child in [*process.children(recursive=True), process]:
                        child.kill()

    def kill(self, name: str) -> None:
        """End a node as a power failure does: every process of it at once."""
        node = self.nodes.pop(name)
        pids = self.pids(node)
        for pid in pids:
            self.signal(pid, signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to every process of a node."""
        for pid in self.pids(self.nodes[name]):
            self.signal(pid, number)

    @staticmethod
    def signal(pid: int, number: signal.Signals) -> None:
        """Send a signal to a process, if it is there."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def forget(self, name: str) -> None:
        """Let a node go that has ended by itself."""
        self.kill(name)

    def kill_raylet(self, name: str) -> None:
        """End a node's raylet alone. It is reaped: Ray's workers do not notice a raylet that is a zombie."""
        process = self.nodes[name].all_processes["raylet"][0].process
        process.kill()
        process.wait()

    def raylet(self, name: str) -> int:
        """The process id of a node's raylet."""
        return int(self.nodes[name].all_processes["raylet"][0].process.pid)

    def pids(self, node: Any) -> list[int]:
        """The raylet and what it has started, down to the trials."""
        import psutil

        found = []
        for info in (info for infos in node.all_processes.values() for info in infos):
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(info.process.pid)
                found += [process.pid, *(child.pid for child in process.children(recursive=True))]
        return found

    def close(self) -> None:
        session = self.cluster.head_node.get_session_dir_path() if self.cluster.head_node else ""
        self.cluster.shutdown()
        if session:
            shutil.rmtree(session, ignore_errors=True)


@contextlib.contextmanager
def ray_nodes(names: Sequence[str], system_config: Mapping[str, int] = QUICK_HEALTH_CHECK) -> Iterator[RayNodes]:
    """A cluster with these nodes, of one CPU each. Its processes end with this one, however it ends."""
    os.environ.update(own_environment())
    from ray.cluster_utils import Cluster

    head = {
        "num_cpus": 0,
        "node_name": "head",
        "node_ip_address": "127.0.0.1",
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_system_config": dict(system_config),
    }
    found = RayNodes(Cluster(initialize_head=True, head_node_args=head))
    try:
        for name in names:
            found.add(name)
        yield found
    finally:
        found.close()


def stand_in_fleet(corpus: Path, run_dir: Path, workers: int, silent_s: float = 60.0) -> Fleet:
    """Workers of one CPU with trials of the stand-in trainer."""
    plan = ForkedTrialPlan(
        "torch", "cpu", 1, str(corpus), str(run_dir), DEADLINE_S, MEMORY_BYTES, make_server=StandInServer
    )
    build = stand_in_spec(str(corpus))

    def payload(order: TrialOrder) -> str:
        return build(order.cfg, order.seed).model_dump_json()

    facts = node_facts(stand_in_device(), Corpus.open(corpus).sha256)
    return Fleet(plan, workers, Resources(1).places, facts, payload, silent_s)


@contextlib.contextmanager
def ray_executor(
    address: str,
    fleet: Fleet,
    key: str = "test-",
    aborted: Callable[[], bool] = lambda: False,
    suspend: Callable[[], bool] = lambda: False,
    notify: Callable[[str], None] = lambda _message: None,
) -> Iterator[RemoteExecutor]:
    """An executor that is connected to the cluster."""
    cluster = RayCluster(key, Resources(1), address, fleet.workers)
    cluster.open()
    executor = RemoteExecutor(cluster, fleet, aborted, suspend, notify)
    try:
        executor.open()
        yield executor
    finally:
        executor.close()


def pid_of_trial(executor: RemoteExecutor, trial: int) -> int:
    """The process of the worker that runs a trial."""
    import ray._private.state

    worker = next(w for w in executor._workers if w.order is not None and w.order.trial == trial)
    return int(ray._private.state.actors(worker.handle._actor_id.hex())["Pid"])


def poll_until(executor: RemoteExecutor, done: Callable[[], bool], seconds: float = 120.0) -> None:
    """Poll, and drop what ended, until ``done``."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "not in time"
        executor.poll(0.1)
