"""Trials on the nodes of a cluster: a worker on each device, started again where it is lost.

Everything happens on the thread that polls. A trial whose worker is lost is reported as a ``HOST_LOST`` failure, which
the loop repeats once; the executor itself never runs a trial twice.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence

from autoresearch.core.executor import OnTrialProgress, TrialFinished, TrialOrder, ignore_progress
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.ports import Interrupted
from autoresearch.errors import ConfigError, TrialServerError
from autoresearch.trials.remote.fleet import Fleet, Worker
from autoresearch.trials.remote.handshake import find_difference
from autoresearch.trials.remote.ports import (
    Cluster,
    Flags,
    Greeting,
    Job,
    Node,
    Step,
    WorkerLost,
)

TICK_S = 0.1  # between two looks at the user's requests
TEND_S = 1.0  # between two looks at the list of nodes
END_DEADLINE_S = 15.0  # for trials that were told to end; a worker that does not report it is killed
START_DEADLINE_S = 600.0  # of a worker: torch from a cold disk, a large corpus read whole
WITHOUT_WORKER_S = 900.0  # how long a trial waits for a node before the run ends
MAX_FAILED_STARTS = 3  # of workers on one node, one after the other: then the node is left alone for a while
REST_S = 1800.0
LONGEST_REASON = 300


class RemoteExecutor:
    """See ``core.executor.TrialExecutor``. Its capacity is the number of workers that are ready, at least 1.

    A node that fails the handshake is reported by name and not used again until it joins the cluster anew; one on which
    workers do not start is tried again after ``REST_S``.
    """

    def __init__(
        self,
        cluster: Cluster,
        fleet: Fleet,
        aborted: Callable[[], bool] = lambda: False,
        suspend_requested: Callable[[], bool] = lambda: False,
        notify: Callable[[str], None] = lambda _message: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.aborted, self.suspend_requested = aborted, suspend_requested
        self._cluster, self._fleet, self._notify, self._clock = cluster, fleet, notify, clock
        self._workers: list[Worker] = []
        self._waiting: list[TrialOrder] = []
        self._finished: list[TrialFinished] = []
        self._refused: dict[str, str] = {}  # by the id of the node: why
        self._failed_starts: Counter[str] = Counter()  # by the id of the node, since the last that succeeded
        self._rests_until: dict[str, float] = {}  # by the id of the node: of ``_refused``, those that are tried again
        self._verified: set[str] = set()
        self._suspends = False
        self._tended_at, self._had_worker_at = -TEND_S, clock()

    @property
    def capacity(self) -> int:
        return max(1, sum(worker.is_ready for worker in self._workers))

    @property
    def free_bytes(self) -> int | None:
        """What a trial may take on whichever worker it runs: that of the one with the least."""
        return min((w.free_bytes for w in self._workers if w.free_bytes is not None), default=None)

    def open(self) -> None:
        """Wait until no worker is starting any more. Raises ``ConfigError`` if none is ready then."""
        while not self.aborted():
            self._tend(at_once=True)
            if not any(not worker.is_ready for worker in self._workers):
                break
            self._handle_ready(TICK_S, ignore_progress)
        if not self._workers and not self.aborted():
            why = "; ".join(sorted(self._refused.values())) or "no node has what one trial needs"
            raise ConfigError(f"no node of the cluster can run a trial: {why}", hint="see docs/parallel.md, Ray")

    def submit(self, order: TrialOrder) -> int:
        """See ``TrialExecutor``. A trial that was cancelled holds its worker until it has ended."""
        orders = self._orders()
        if any(other.trial == order.trial for other in orders):
            raise ValueError(f"trial {order.trial} is at work")
        if len(orders) >= self.capacity:
            raise ValueError(f"{len(orders)} trials are at work, and {self.capacity} workers are ready")
        self._waiting.append(order)
        self._pass_on_suspension()
        self._hand_out()
        return order.trial

    def poll(self, timeout_s: float, on_progress: OnTrialProgress = ignore_progress) -> Sequence[TrialFinished]:
        ends = self._clock() + timeout_s
        while True:
            if self.aborted():
                self._end_all()
                raise Interrupted("stopped at once")
            self._pass_on_suspension()
            self._tend()
            self._hand_out()
            left_s = ends - self._clock()
            wait_s = 0.0 if self._finished or not self._orders() else max(0.0, min(TICK_S, left_s))
            self._handle_ready(wait_s, on_progress)
            if self._finished or left_s <= 0 or not self._orders():
                finished, self._finished = self._finished, []
                return finished
            self._end_if_nothing_is_left()

    def cancel(self, id: int) -> None:  # noqa: A002
        self._waiting = [order for order in self._waiting if order.trial != id]
        self._finished = [end for end in self._finished if end.id != id]
        for worker in self._busy():
            if worker.order is not None and worker.order.trial == id and not worker.is_cancelled:
                worker.is_cancelled = True
                self._cluster.call(worker.handle, "control", self._flags(worker))

    def close(self) -> None:
        """End what runs, every worker, and the connection to the cluster."""
        self._end_all()
        for worker in self._workers:
            self._cluster.end(worker.handle)
        self._workers.clear()
        self._cluster.close()

    def _orders(self) -> list[TrialOrder]:
        return [*(worker.order for worker in self._workers if worker.order is not None), *self._waiting]

    def _busy(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.order is not None]

    def _flags(self, worker: Worker) -> Flags:
        return Flags(self._suspends, worker.is_cancelled)

    def _pass_on_suspension(self) -> None:
        if (suspends := self.suspend_requested()) != self._suspends:
            self._suspends = suspends
            for worker in self._busy():
                self._cluster.call(worker.handle, "control", self._flags(worker))

    def _tend(self, at_once: bool = False) -> None:
        """Start workers where places are free, and give up those that do not become ready or are silent."""
        now = self._clock()
        for worker in [w for w in self._workers if not w.is_ready and now - w.began > START_DEADLINE_S]:
            self._lose(worker, f"it was not ready after {START_DEADLINE_S:.0f} s")
        silent_s = self._fleet.silent_s
        for worker in [w for w in self._workers if w.silence_s > silent_s]:
            self._lose(worker, f"it did not report its trial for {silent_s:g} s")
        if (now - self._tended_at < TEND_S and not at_once) or len(self._workers) >= self._fleet.workers:
            return
        self._tended_at = now
        for id_ in [id_ for id_, until in self._rests_until.items() if now > until]:
            del self._rests_until[id_], self._refused[id_]
        nodes = self._cluster.nodes()
        while len(self._workers) < self._fleet.workers and (node := self._free_node(nodes)) is not None:
            self._start(node, now)

    def _free_node(self, nodes: Sequence[Node]) -> Node | None:
        """The node with a free place and the fewest workers."""
        used = Counter(worker.node.id for worker in self._workers)
        free = [n for n in nodes if n.id not in self._refused and used[n.id] < self._fleet.places(n)]
        return min(free, key=lambda node: (used[node.id], node.name, node.id), default=None)

    def _start(self, node: Node, now: float) -> None:
        name = f"{node.name}-{uuid.uuid4().hex[:8]}"
        handle = self._cluster.start(node, name, self._fleet.plan)
        places = min(self._fleet.places(node), self._fleet.workers)
        greeting = self._cluster.call(handle, "greet", node.id not in self._verified, places)
        life = self._cluster.call(handle, "wait_for_end")
        self._workers.append(Worker(name, node, handle, life, greeting, now))

    def _hand_out(self) -> None:
        for worker in self._workers:
            if not self._waiting:
                return
            if worker.is_ready and worker.order is None:
                order = self._waiting.pop(0)
                worker.order, worker.is_cancelled = order, False
                self._step(worker, Job(order, self._fleet.payload(order)))

    def _step(self, worker: Worker, job: Job | None) -> None:
        worker.step, worker.silence_s = self._cluster.call(worker.handle, "step", job, self._flags(worker)), 0.0

    def _handle_ready(self, timeout_s: float, on_progress: OnTrialProgress) -> None:
        """Take what workers answered. An answer that arrived before its worker was lost counts."""
        futures = [future for worker in self._workers for future in worker.futures()]
        if not futures:
            if timeout_s > 0:
                time.sleep(timeout_s)  # until a node joins the cluster
            return
        began = self._clock()
        ready = set(self._cluster.wait(futures, timeout_s))
        # Not the time between two polls, nor that for which this process was stopped: reports may have arrived in it.
        waited_s = min(timeout_s, self._clock() - began)
        for worker in list(self._workers):
            if worker.step is not None and worker.step not in ready:
                worker.silence_s += waited_s
            try:
                if worker.step in ready:
                    self._take_step(worker, self._cluster.result(worker.step), on_progress)
                if worker.greeting in ready:
                    self._take_greeting(worker, self._cluster.result(worker.greeting))
                if worker.life in ready:
                    self._cluster.result(worker.life)
            except WorkerLost as e:
                self._lose(worker, str(e))

    def _take_greeting(self, worker: Worker, greeting: Greeting) -> None:
        worker.greeting, node = None, worker.node
        differs = find_difference(greeting, self._fleet.expected)
        if differs:
            self._refuse(node, differs)
            self._drop(worker)
            return
        self._verified.add(node.id)
        self._failed_starts.pop(node.id, None)
        if greeting.warning:
            self._notify(f"warning: node {node.name}: {greeting.warning}")
        worker.free_bytes = greeting.free_bytes

    def _take_step(self, worker: Worker, step: Step, on_progress: OnTrialProgress) -> None:
        worker.step = None
        if step.error:
            self._lose(worker, step.error)
            return
        if step.progress is not None and not worker.is_cancelled:
            on_progress(step.progress)
        if not step.is_over:
            self._step(worker, None)
            return
        order, was_cancelled = worker.order, worker.is_cancelled
        worker.order, worker.is_cancelled = None, False
        if step.finished is not None and not was_cancelled:
            self._finished.append(step.finished)
        elif order is not None and not was_cancelled:  # ended there by no request of ours
            self._finished.append(_lost(order, worker, "it ended the trial"))

    def _lose(self, worker: Worker, reason: str) -> None:
        """A worker is gone: its trial is reported as lost, and another worker takes its place."""
        if worker not in self._workers:
            return
        reason = " ".join(reason.split())[:LONGEST_REASON]
        order, node = worker.order, worker.node
        self._drop(worker)
        if not worker.is_ready:
            self._failed_starts[node.id] += 1
            if self._failed_starts[node.id] >= MAX_FAILED_STARTS:
                del self._failed_starts[node.id]
                self._rests_until[node.id] = self._clock() + REST_S
                again = f"it is tried again in {REST_S / 60:.0f} min"
                self._refuse(node, f"{MAX_FAILED_STARTS} workers did not start, {again}: {reason}")
                return
        self._notify(f"worker {worker.name} was lost: {reason}")
        if order is not None and not worker.is_cancelled:
            self._finished.append(_lost(order, worker, reason))

    def _drop(self, worker: Worker) -> None:
        self._workers.remove(worker)
        self._cluster.end(worker.handle)

    def _refuse(self, node: Node, why: str) -> None:
        self._refused[node.id] = f"node {node.name}: {why}"
        self._notify(f"node {node.name} is refused: {why}")

    def _end_if_nothing_is_left(self) -> None:
        if any(worker.is_ready for worker in self._workers):
            self._had_worker_at = self._clock()
        elif self._clock() - self._had_worker_at > WITHOUT_WORKER_S:
            why = "; ".join(sorted(self._refused.values()))
            raise TrialServerError(
                f"for {WITHOUT_WORKER_S:.0f} s no node of the cluster could run a trial{': ' if why else ''}{why}",
                hint="look at the cluster (ray status); the same command continues the run",
            )

    def _end_all(self) -> None:
        """End every trial and wait for their ends; what they report is dropped."""
        self._waiting.clear()
        for worker in self._busy():
            worker.is_cancelled = True
            self._cluster.call(worker.handle, "control", self._flags(worker))
        ends = self._clock() + END_DEADLINE_S
        while self._busy() and (left_s := ends - self._clock()) > 0:
            self._handle_ready(min(TICK_S, left_s), ignore_progress)
        for worker in self._busy():
            self._drop(worker)
        self._finished.clear()


def _lost(order: TrialOrder, worker: Worker, reason: str) -> TrialFinished:
    detail = f"its worker on node {worker.node.name} was lost during this trial: {reason}"
    return TrialFinished(order.trial, Failure(cause=Cause.HOST_LOST, detail=detail))
