"""Slurm in this process: a job is a thread that runs the job's own code around a fake trial."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.core.measurement import Failure, Measurement, Suspended
from autoresearch.core.ports import NEVER_SUSPENDED, OnProgress, SuspendControl, Trial
from autoresearch.trials.child_output import ChildOutput
from autoresearch.trials.messages import FAILED, MEASURED, SEALED, STOPPED_EARLY, SUSPENDED
from autoresearch.trials.requests import Request, TrialRequest
from autoresearch.trials.runner import RequestRunner
from autoresearch.trials.slurm.job import AHEAD_OF_LIMIT, Watch, do_request
from autoresearch.trials.slurm.job_folder import JobFolder
from autoresearch.trials.slurm.resources import Resources
from autoresearch.trials.slurm.states import JobState
from autoresearch.trials.spec import Device

NODE_BYTES = 8 << 30
VERSIONS = {"fake": "1"}


class NodeLost(BaseException):
    """Nothing runs after it: no result is written."""


@dataclass(slots=True)
class FakeRunner:
    """See ``runner.RequestRunner``: requests are answered by a trial of this process."""

    trial: Trial
    aborted: Callable[[], bool]
    versions: Mapping[str, str]

    def probe(self, device: str, trainer: str, deadline_s: float) -> Device:
        return Device(device=device, kind="fake", precisions=("fp32",), free_bytes=None, versions=dict(self.versions))

    def run(
        self,
        request: Request,
        on_progress: OnProgress,
        limit: int | None,
        deadline_s: float,
        suspend: SuspendControl = NEVER_SUSPENDED,
    ) -> tuple[ChildOutput, int | None, int | None]:
        assert isinstance(request, TrialRequest)
        output, sealed = ChildOutput(on_progress), list[float]()
        spec = request.spec
        end = self.trial.measure(spec.cfg, spec.seed, on_progress, suspend, sealed.append, spec.stop_above)
        keys = {Measurement: MEASURED, Suspended: SUSPENDED, Failure: FAILED}
        output.answer = {keys.get(type(end), STOPPED_EARLY): end.model_dump(mode="json")}
        if sealed:
            output.answer[SEALED] = sealed[-1]
        output.step = end.step if isinstance(end, Suspended) else 1
        return output, 0, None


@dataclass(slots=True)
class _Job:
    name: str
    state: JobState
    thread: threading.Thread | None = None
    watch: Watch | None = None
    signal: int = 0  # with which it was ended
    is_lost: bool = False


@dataclass(slots=True)
class FakeSlurm:
    """See ``trials.slurm.cluster.Cluster``. Every job gets a node of its own, at once."""

    make_trial: Callable[[Callable[[], bool]], Trial]
    jobs: dict[str, _Job] = field(default_factory=dict)
    versions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # of nodes that differ from ``VERSIONS``
    answers: bool = True  # whether the controller does
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def submit(self, folder: Path, name: str, resources: Resources, exclude: Sequence[str]) -> str:
        with self._lock:
            number = str(len(self.jobs) + 1)
            job = self.jobs[number] = _Job(name, JobState("RUNNING", "", f"n{number}"))
        job.thread = threading.Thread(target=self._run, args=(number, folder), name=f"job-{number}", daemon=True)
        job.thread.start()
        return number

    def _run(self, number: str, folder: Path) -> None:
        job = self.jobs[number]

        def listen(watch: Watch) -> None:
            watch.look_interval_s, watch.signalled, job.watch = 0.0, int(job.signal), watch

        def make_runner(_request: object, _folder: Path, aborted: Callable[[], bool]) -> RequestRunner:
            def must_end() -> bool:
                if job.is_lost:
                    raise NodeLost
                return aborted()

            versions = self.versions.get(f"n{number}", VERSIONS)
            return FakeRunner(self.make_trial(must_end), must_end, versions)

        try:
            do_request(
                JobFolder(folder), {"SLURM_JOB_ID": number, "SLURMD_NODENAME": f"n{number}"}, make_runner, listen
            )
        except NodeLost:
            return
        job.state = JobState("CANCELLED" if job.signal == signal.SIGTERM else "COMPLETED", "", f"n{number}")

    def states(self, jobs: Collection[str]) -> Mapping[str, JobState] | None:
        return {number: self.jobs[number].state for number in jobs if number in self.jobs} if self.answers else None

    def cancel(self, jobs: Collection[str]) -> None:
        for job in (self.jobs[number] for number in jobs):
            job.signal = signal.SIGTERM
            if job.watch is not None:
                job.watch.signalled = int(job.signal)

    def open_jobs(self, prefix: str) -> list[str]:
        return [n for n, job in self.jobs.items() if job.state.end is None and job.name.startswith(prefix)]

    def node_bytes(self) -> int:
        return NODE_BYTES

    def end_at_limit(self, number: str) -> None:
        """Send what Slurm sends ahead of a job's time limit."""
        job = self.jobs[number]
        job.signal = AHEAD_OF_LIMIT
        if job.watch is not None:
            job.watch.signalled = int(job.signal)

    def lose(self, number: str, state: str = "NODE_FAIL") -> None:
        """End a job as the loss of its node does, or as another end without a result."""
        job = self.jobs[number]
        job.is_lost = True
        job.state = JobState(state, "", job.state.node)

    def wait(self) -> None:
        """Wait for the threads of all jobs."""
        for job in self.jobs.values():
            if job.thread is not None:
                job.thread.join(10.0)

    def close(self) -> None:
        """End all jobs."""
        for job in self.jobs.values():
            job.is_lost = True
        self.wait()
