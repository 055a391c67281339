"""The worker on a node: a local executor of one trial, whose methods are called from the daemon's machine."""

from __future__ import annotations

import threading

from autoresearch.core.executor import TrialProgress
from autoresearch.core.ports import Interrupted
from autoresearch.errors import AutoresearchError
from autoresearch.trials.local_executor import LocalExecutor
from autoresearch.trials.remote.ports import Flags, Greeting, Job, OpenWorker, Step, WorkerPlan

STEP_S = 1.0  # the longest time without a report of a running trial
CALLS_AT_A_TIME = 4  # ``wait_for_end``, ``step``, ``control``, and one more ``control``
MAX_PROBLEM_CHARS = 2000


class WorkerActor:
    """Runs one trial at a time. A thread of ``LocalExecutor`` measures; no call but ``step`` and ``greet`` waits.

    Its servers and trials are children of its process and die with it (PR_SET_PDEATHSIG).
    """

    step_s = STEP_S

    def __init__(self, name: str, plan: WorkerPlan) -> None:
        self._name, self._plan, self._flags = name, plan, Flags()
        self._worker: OpenWorker | None = None
        self._executor: LocalExecutor | None = None

    def greet(self, verify: bool, places: int) -> Greeting:
        """Open the worker and answer the handshake; what is wrong with this node is part of the answer."""
        try:
            self._worker = self._plan.open(self._name, verify, places)
        except AutoresearchError as e:
            return Greeting(problem=f"{e.what}; try: {e.hint}"[:MAX_PROBLEM_CHARS] if e.hint else e.what)
        except (OSError, ImportError) as e:
            return Greeting(problem=str(e)[:MAX_PROBLEM_CHARS] or type(e).__name__)
        self._executor = LocalExecutor(
            [self._worker.make_trial], lambda: self._flags.abort, lambda: self._flags.suspend
        )
        return self._worker.greeting

    def step(self, job: Job | None, flags: Flags) -> Step:
        """Start ``job`` if there is one, and report the trial at work: its end as soon as it ends, or its progress."""
        executor, worker, seen = self._executor, self._worker, list[TrialProgress]()
        if executor is None or worker is None:
            return Step(is_over=True, error="it did not pass the handshake")
        self._flags = flags
        try:
            if job is not None:
                worker.prepare(job)
                executor.submit(job.order)
            ended = executor.poll(self.step_s, seen.append)
        except Interrupted:
            return Step(is_over=True)
        except Exception as e:
            what = e.what if isinstance(e, AutoresearchError) else f"{type(e).__name__}: {e}"
            return Step(is_over=True, error=what[:MAX_PROBLEM_CHARS])
        return Step(seen[-1] if seen else None, ended[0] if ended else None, bool(ended))

    def control(self, flags: Flags) -> None:
        """Pass requests to the running trial."""
        self._flags = flags

    def wait_for_end(self) -> None:
        """Never return: the call fails once this process has ended, which is how the daemon learns of it."""
        threading.Event().wait()

    def close(self) -> None:
        """End what runs, the executor's thread and the trial server."""
        if self._executor is not None:
            self._executor.close()
        if self._worker is not None:
            self._worker.close()
