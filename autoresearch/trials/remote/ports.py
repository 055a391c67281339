"""What the executor of remote trials needs of a cluster and of a node; plain values travel between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from autoresearch.core.executor import TrialFinished, TrialOrder, TrialProgress
from autoresearch.core.values import FrozenModel
from autoresearch.trials.local_executor import MakeTrial


class WorkerLost(Exception):
    """The worker's process or its node ended, or cannot be reached; the text says which, as the cluster reports it."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster that is alive: its id there, a name that a user knows, and what it has in total."""

    id: str
    name: str
    resources: Mapping[str, float]


class NodeFacts(FrozenModel):
    """What must be the same on every node, so that its trials can be compared with those of the others."""

    device_kind: str
    versions: dict[str, str]
    corpus_sha256: str
    code_sha256: str  # of the part of autoresearch that a trial runs


class Greeting(FrozenModel):
    """A worker's answer to the handshake."""

    facts: NodeFacts | None = None
    problem: str = ""  # why it cannot run trials, where ``facts`` is null
    warning: str = ""  # what the user should know of this node
    free_bytes: int | None = None  # memory that one of its trials may take


@dataclass(frozen=True, slots=True)
class Flags:
    """What is requested of a worker's running trial."""

    suspend: bool = False
    abort: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A trial for a worker; ``payload`` is what its plan needs to run it, for example its spec."""

    order: TrialOrder
    payload: Any = None


@dataclass(frozen=True, slots=True)
class Step:
    """What a worker reports: how far its trial is, or how it ended."""

    progress: TrialProgress | None = None
    finished: TrialFinished | None = None
    is_over: bool = False  # no trial is at work there any more; without ``finished`` it was ended
    error: str = ""  # why the worker cannot go on


class OpenWorker(Protocol):
    """A worker that is ready on its node."""

    greeting: Greeting

    @property
    def make_trial(self) -> MakeTrial: ...

    def prepare(self, job: Job) -> None:
        """Note the payload of the next trial."""
        ...

    def close(self) -> None: ...


class WorkerPlan(Protocol):
    """How to open a worker. It is sent to the node, so that it and all that it holds can be pickled."""

    def open(self, name: str, verify: bool, places: int) -> OpenWorker:
        """Open it, on the node, which may have up to ``places`` such workers at a time.

        ``verify``: read the node's data whole. Raises an ``AutoresearchError``.
        """
        ...


class Cluster(Protocol):
    """Starts workers on nodes and calls them. A future is whatever ``call`` returns."""

    def nodes(self) -> Sequence[Node]:
        """The nodes that are alive."""
        ...

    def start(self, node: Node, name: str, plan: WorkerPlan) -> Any:
        """Begin to start a worker (``actor.WorkerActor``) on a node, and return its handle."""
        ...

    def call(self, worker: Any, method: str, *args: Any) -> Any:
        """Begin a call of a worker's method, and return its future. Calls of one worker may overlap."""
        ...

    def wait(self, futures: Sequence[Any], timeout_s: float) -> Sequence[Any]:
        """Those that are done, after ``timeout_s`` at the latest; at least one as soon as there is one."""
        ...

    def result(self, future: Any) -> Any:
        """What a call returned that is done. Raises ``WorkerLost``."""
        ...

    def end(self, worker: Any) -> None:
        """Kill a worker with all that it runs; does nothing where it has ended."""
        ...

    def close(self) -> None: ...
