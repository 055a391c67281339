"""Several trials at a time on one machine: a thread for each worker, which has a trial (a warm server) of its own.

A thread only measures. Progress and ends reach the polling thread through a queue, so that the meter, the observers and
the journal stay on one thread. A trial server dies with the thread that started it (PR_SET_PDEATHSIG): the threads live
until ``close``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from autoresearch.core.executor import OnTrialProgress, TrialFinished, TrialOrder, TrialProgress, ignore_progress
from autoresearch.core.ports import Interrupted, SuspendControl, Trial

TICK_S = 0.1  # between two looks at the user's requests
END_DEADLINE_S = 15.0  # for trials that were told to end: a kill, and the wait for a server that hangs

MakeTrial = Callable[[Callable[[], bool]], Trial]  # given what is polled for whether its running trial should end


@dataclass(slots=True)
class _Job:
    """A trial of a worker, and what is requested of it."""

    order: TrialOrder
    suspend: threading.Event = field(default_factory=threading.Event)
    abort: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class _NotMeasured:
    """A trial that was ended, or that raised."""

    id: int
    error: BaseException | None


_Message = TrialProgress | TrialFinished | _NotMeasured


class _Worker:
    """One thread with one trial; ``job`` is set by the polling thread alone."""

    def __init__(self, name: str, make_trial: MakeTrial, outbox: SimpleQueue[_Message]) -> None:
        self.job: _Job | None = None
        self.name = name
        self.inbox: SimpleQueue[_Job | None] = SimpleQueue()
        self._outbox = outbox
        self._trial = make_trial(self._aborted)
        self.thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self.thread.start()

    def _aborted(self) -> bool:
        return self.job is not None and self.job.abort.is_set()

    def _serve(self) -> None:
        while (job := self.inbox.get()) is not None:
            self._outbox.put(self._measure(job))

    def _measure(self, job: _Job) -> _Message:
        order, sealed = job.order, list[float]()

        def progressed(phase: str, fraction: float, step: int, tokens_per_s: float | None) -> None:
            self._outbox.put(TrialProgress(order.trial, phase, fraction, step, tokens_per_s, self.name))

        suspend = SuspendControl(job.suspend.is_set, order.suspended_at)
        try:
            outcome = self._trial.measure(order.cfg, order.seed, progressed, suspend, sealed.append, order.limits)
        except Interrupted:
            return _NotMeasured(order.trial, None)
        except BaseException as e:  # the polling thread raises it
            return _NotMeasured(order.trial, e)
        return TrialFinished(order.trial, outcome, sealed[-1] if sealed else None)


class LocalExecutor:
    """See ``core.executor.TrialExecutor``: one worker for each of ``trials``, the next trial to the first that is free.

    ``aborted`` and ``suspend_requested`` are called by ``poll`` on its own thread, ten times a second.
    """

    def __init__(
        self,
        trials: Sequence[MakeTrial],
        aborted: Callable[[], bool] = lambda: False,
        suspend_requested: Callable[[], bool] = lambda: False,
        names: Sequence[str] = (),
    ) -> None:
        """``names`` are those of the workers' devices; a worker without one has a number."""
        self.aborted, self.suspend_requested = aborted, suspend_requested
        self._outbox: SimpleQueue[_Message] = SimpleQueue()
        self._workers = [
            _Worker(names[n] if names else f"worker {n}", make, self._outbox) for n, make in enumerate(trials)
        ]
        self._cancelled: set[int] = set()

    @property
    def capacity(self) -> int:
        return len(self._workers)

    def submit(self, order: TrialOrder) -> int:
        """See ``TrialExecutor``. A trial that was cancelled holds its worker until it has ended."""
        if any(job.order.trial == order.trial for job in self._jobs()):
            raise ValueError(f"trial {order.trial} is at work")
        free = next((worker for worker in self._workers if worker.job is None), None)
        if free is None:
            raise ValueError(f"{self.capacity} trials are at work, one on each worker")
        free.job = _Job(order)
        free.inbox.put(free.job)
        return order.trial

    def place_of(self, id: int) -> str:  # noqa: A002
        """The device or worker of a trial at work; empty for another one."""
        return next((w.name for w in self._workers if w.job is not None and w.job.order.trial == id), "")

    def poll(self, timeout_s: float, on_progress: OnTrialProgress = ignore_progress) -> Sequence[TrialFinished]:
        ends = time.monotonic() + timeout_s
        finished: list[TrialFinished] = []
        while True:
            if self.aborted():
                self._end_all()
                raise Interrupted("stopped at once")
            suspends = self.suspend_requested()
            for job in self._jobs():
                job.suspend.set() if suspends else job.suspend.clear()
            self._drain(finished, on_progress)
            left_s = ends - time.monotonic()
            if finished or left_s <= 0 or not self._jobs():
                return finished
            try:
                message = self._outbox.get(timeout=min(TICK_S, left_s))
            except Empty:
                continue
            self._handle(message, finished, on_progress)

    def cancel(self, id: int) -> None:  # noqa: A002
        for job in self._jobs():
            if job.order.trial == id:
                job.abort.set()
                self._cancelled.add(id)

    def close(self) -> None:
        """End what runs, and the threads; a thread that does not end in time is left to the end of the process."""
        self._end_all()
        for worker in self._workers:
            worker.inbox.put(None)
        for worker in self._workers:
            worker.thread.join(TICK_S)

    def _jobs(self) -> list[_Job]:
        return [worker.job for worker in self._workers if worker.job is not None]

    def _drain(self, finished: list[TrialFinished], on_progress: OnTrialProgress) -> None:
        while not self._outbox.empty():
            self._handle(self._outbox.get(), finished, on_progress)

    def _handle(self, message: _Message, finished: list[TrialFinished], on_progress: OnTrialProgress) -> None:
        was_cancelled = message.id in self._cancelled
        if isinstance(message, TrialProgress):
            if not was_cancelled:
                on_progress(message)
            return
        self._free(message.id)
        if was_cancelled:
            return
        if isinstance(message, TrialFinished):
            finished.append(message)
            return
        self._end_all()
        raise message.error or Interrupted("stopped at once")

    def _free(self, number: int) -> None:
        for worker in self._workers:
            if worker.job is not None and worker.job.order.trial == number:
                worker.job = None
        self._cancelled.discard(number)

    def _end_all(self) -> None:
        """End every trial and wait for their ends; what they say is not reported."""
        for job in self._jobs():
            job.abort.set()
        ends = time.monotonic() + END_DEADLINE_S
        while self._jobs() and (left_s := ends - time.monotonic()) > 0:
            try:
                message = self._outbox.get(timeout=left_s)
            except Empty:
                return
            if not isinstance(message, TrialProgress):
                self._free(message.id)
