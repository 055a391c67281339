"""A cluster in this process: workers are threads, and a test ends them or their nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from autoresearch.core.ports import Trial
from autoresearch.trials.local_executor import MakeTrial
from autoresearch.trials.remote.actor import CALLS_AT_A_TIME, WorkerActor
from autoresearch.trials.remote.ports import Greeting, Job, Node, NodeFacts, OpenWorker, WorkerLost, WorkerPlan

FAKE_STEP_S = 0.05
FACTS = NodeFacts(device_kind="fake", versions={"fake": "1"}, corpus_sha256="0" * 64, code_sha256="1" * 64)


@dataclass(slots=True)
class FakeOpenWorker:
    """A worker that runs what ``make_trial`` returns."""

    greeting: Greeting
    make_trial: MakeTrial
    payloads: list[Any] = field(default_factory=list)

    def prepare(self, job: Job) -> None:
        self.payloads.append(job.payload)

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FakePlan:
    """Workers with the trials of ``make_trial``; ``greetings`` are those of other names than ``FACTS`` would give."""

    make_trial: Callable[[Callable[[], bool]], Trial]
    greetings: dict[str, Greeting] = field(default_factory=dict)  # by the beginning of the worker's name

    def open(self, name: str, verify: bool, places: int) -> OpenWorker:
        greeting = next((g for node, g in self.greetings.items() if name.startswith(node)), Greeting(facts=FACTS))
        return FakeOpenWorker(greeting, self.make_trial)


@dataclass(eq=False, slots=True)
class FakeWorker:
    """A worker of a ``FakeCluster``: its calls run in threads, and fail once it is lost."""

    node: Node
    actor: WorkerActor
    calls: ThreadPoolExecutor
    pending: list[Future[Any]] = field(default_factory=list)
    lost: str = ""
    is_silent: bool = False  # it is there and does not answer


@dataclass(slots=True)
class FakeCluster:
    """See ``trials.remote.ports.Cluster``."""

    present: list[Node]
    workers: list[FakeWorker] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)  # nodes, by id, whose workers end as they start: why
    is_closed: bool = False

    def nodes(self) -> Sequence[Node]:
        return list(self.present)

    def start(self, node: Node, name: str, plan: WorkerPlan) -> FakeWorker:
        actor = WorkerActor(name, plan)
        actor.step_s = FAKE_STEP_S
        worker = FakeWorker(node, actor, ThreadPoolExecutor(CALLS_AT_A_TIME, f"fake-{name}"))
        self.workers.append(worker)
        if node.id in self.broken:
            self.lose(worker, self.broken[node.id])
        return worker

    def call(self, worker: FakeWorker, method: str, *args: Any) -> Future[Any]:
        shown: Future[Any] = Future()
        if worker.lost:
            shown.set_exception(WorkerLost(worker.lost))
            return shown
        worker.pending.append(shown)
        if method == "wait_for_end" or worker.is_silent:
            return shown  # done once the worker is lost

        def done(inner: Future[Any]) -> None:
            with suppress(InvalidStateError):  # the worker was lost
                shown.set_result(inner.result())

        worker.calls.submit(getattr(worker.actor, method), *args).add_done_callback(done)
        return shown

    def wait(self, futures: Sequence[Future[Any]], timeout_s: float) -> Sequence[Future[Any]]:
        return list(wait_for(futures, timeout_s, FIRST_COMPLETED).done)

    def result(self, future: Future[Any]) -> Any:
        return future.result()

    def end(self, worker: FakeWorker) -> None:
        self.lose(worker, "it was ended")

    def lose(self, worker: FakeWorker, reason: str) -> None:
        """End a worker as a kill does: its trial ends, and every call of it fails."""
        if worker.lost:
            return
        worker.lost = reason
        for future in worker.pending:
            with suppress(InvalidStateError):  # it is done
                future.set_exception(WorkerLost(reason))
        worker.actor.close()
        worker.calls.shutdown(wait=False)

    def lose_node(self, node: Node) -> None:
        """End a node with its workers."""
        self.present.remove(node)
        for worker in self.workers:
            if worker.node.id == node.id:
                self.lose(worker, f"node {node.name} is down")

    def close(self) -> None:
        self.is_closed = True
