"""Ray Core behind the port ``Cluster``: an actor for each worker, never restarted and never called again by Ray."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoresearch.errors import ConfigError, missing_extra
from autoresearch.machine import reserve_bytes, total_bytes
from autoresearch.trials.remote.actor import CALLS_AT_A_TIME, WorkerActor
from autoresearch.trials.remote.ports import Node, WorkerLost, WorkerPlan

NAMESPACE = "autoresearch"
OBJECT_STORE_BYTES = 80 << 20  # nothing but small values passes through it; Ray refuses less than 75 MiB
THRESHOLD, REFRESH = "RAY_memory_usage_threshold", "RAY_memory_monitor_refresh_ms"
CONNECT_S = 10.0
DEFAULT_THRESHOLD = 0.95  # Ray's own


def kill_threshold(total: int) -> float:
    """The share of used memory at which Ray may kill a worker: our guard kills the trial long before, at half of the
    reserve; this leaves a quarter of it."""
    return round(1.0 - reserve_bytes(total) / 4 / total, 4)


def own_environment() -> dict[str, str]:
    """What makes ``ray.init`` start a cluster that only this machine reaches, and that kills no worker too early."""
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the only switch with which Ray on Linux binds to loopback
        "RAY_USAGE_STATS_ENABLED": "0",
        THRESHOLD: str(kill_threshold(total_bytes())),
    }


def monitor_warning(environment: Mapping[str, str], total: int) -> str:
    """What to change where this node's memory monitor would kill a worker before our guard ends its trial."""
    if environment.get(REFRESH) == "0":
        return ""
    try:
        threshold = float(environment.get(THRESHOLD, DEFAULT_THRESHOLD))
    except ValueError:
        threshold = DEFAULT_THRESHOLD
    if total * (1.0 - threshold) < reserve_bytes(total) // 2:
        return ""
    wanted = kill_threshold(total)
    return f"Ray kills a worker at {threshold:.1%} of its memory, before the trial; start it with {THRESHOLD}={wanted}"


@dataclass(frozen=True, slots=True)
class Resources:
    """What one worker occupies on its node."""

    cpus: float
    gpus: float = 0.0

    def places(self, node: Node) -> int:
        """How many workers fit on a node."""
        name, each = ("GPU", self.gpus) if self.gpus else ("CPU", self.cpus)
        return int(node.resources.get(name, 0.0) // each)


@dataclass(slots=True)
class RayCluster:
    """See ``ports.Cluster``. ``key`` names the workers of one run, so that the next daemon finds and ends them."""

    key: str
    resources: Resources
    address: str = ""  # HOST:PORT of a running cluster; a cluster of its own, on loopback, if empty
    workers: int = 1  # of a cluster of its own
    _ray: Any = field(default=None, init=False)

    def open(self) -> None:
        """Connect, and end the workers that an earlier daemon of this run left. Raises ``ConfigError``."""
        if self.address:
            refuse_unreachable(self.address)
        else:
            os.environ.update(own_environment())  # before the import, which reads it
        try:
            import ray
            import ray.exceptions
        except ImportError as e:
            raise missing_extra("executor.kind = 'ray'", "ray", "ray") from e
        self._ray = ray
        common: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": False, "configure_logging": False}
        try:
            with _signals_kept():
                if self.address:
                    ray.init(address=self.address, **common)
                else:
                    ray.init(address="local", include_dashboard=False, **self._own(), **common)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError) as e:
            hint = f"ray status --address {self.address}; this machine must be one of its nodes" if self.address else ""
            raise ConfigError(f"Ray at {self.address or 'this machine'} cannot be used: {e}", hint=hint) from e
        _keep_off_stdout(ray)
        for name in ray.util.list_named_actors():
            if name.startswith(self.key):
                with contextlib.suppress(ValueError):  # it has ended meanwhile
                    ray.kill(ray.get_actor(name), no_restart=True)

    def nodes(self) -> Sequence[Node]:
        return [
            Node(node["NodeID"], node["NodeName"], node.get("Resources", {}))
            for node in self._ray.nodes()
            if node["Alive"]
        ]

    def start(self, node: Node, name: str, plan: WorkerPlan) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        actor = self._ray.remote(WorkerActor).options(
            name=f"{self.key}{name}",
            num_cpus=0 if self.resources.gpus else self.resources.cpus,
            num_gpus=self.resources.gpus,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=CALLS_AT_A_TIME,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
        )
        return actor.remote(name, plan)

    def call(self, worker: Any, method: str, *args: Any) -> Any:
        return getattr(worker, method).remote(*args)

    def wait(self, futures: Sequence[Any], timeout_s: float) -> Sequence[Any]:
        ready, _ = self._ray.wait(list(futures), num_returns=1, timeout=timeout_s)
        if not ready:
            return ()
        more, _ = self._ray.wait(list(futures), num_returns=len(futures), timeout=0)
        return list(more)

    def result(self, future: Any) -> Any:
        try:
            return self._ray.get(future)
        except self._ray.exceptions.RayError as e:
            raise WorkerLost(str(e) or type(e).__name__) from e

    def end(self, worker: Any) -> None:
        with contextlib.suppress(Exception):  # it has ended, or its node cannot be reached: Ray ends it there
            self._ray.kill(worker, no_restart=True)

    def close(self) -> None:
        if self._ray is not None:
            with _signals_kept():
                self._ray.shutdown()

    def _own(self) -> dict[str, Any]:
        count = None if self.resources.gpus else max(1, round(self.workers * self.resources.cpus))
        return {"num_cpus": count, "object_store_memory": OBJECT_STORE_BYTES}


def refuse_unreachable(address: str) -> None:
    """Raise ``ConfigError`` where nothing listens: Ray itself tries for more than ten minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as e:
        hint = "start it (ray start --head --port=PORT), or correct executor.address"
        raise ConfigError(f"no Ray cluster answers at {address}: {e}", hint=hint) from e


def _keep_off_stdout(ray: Any) -> None:
    """Ray prints what happens to nodes to stdout, whatever ``log_to_driver`` says: the user's table, or JSON.

    There is no public switch (2.60). Its log has the same lines, and a lost worker is reported by the executor.
    """
    with contextlib.suppress(AttributeError):
        ray._private.worker._worker_logs_enabled = False


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep the handlers of signals, which Ray replaces with its own."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            if handler is not None:
                signal.signal(number, handler)
