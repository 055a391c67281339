"""The job: runs on a node of the cluster, forks one child for its request, and writes how that ended.

The same trial server, child, guard and causes as on the daemon's machine. The job ends its child when Slurm ends the
job, when the daemon has given it up, and when the daemon's lease is no longer renewed, so that a killed daemon leaves
no trial behind for longer than the lease.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch import __version__
from autoresearch.core.measurement import Cause
from autoresearch.core.ports import Interrupted, SuspendControl
from autoresearch.errors import AutoresearchError
from autoresearch.trials.child_output import ChildOutput
from autoresearch.trials.remote.handshake import find_device_difference
from autoresearch.trials.requests import ProbeRequest
from autoresearch.trials.runner import ChildRunner, RequestRunner
from autoresearch.trials.server import TrialServer
from autoresearch.trials.slurm.job_folder import (
    GIVEN_UP,
    PROGRESS,
    REQUEST,
    RESULT,
    STARTED,
    SUSPEND,
    BadJobFile,
    End,
    JobFolder,
    JobProgress,
    JobRequest,
    JobResult,
    JobStarted,
)
from autoresearch.trials.slurm.node import corpus_difference, mark_of_node, node_name
from autoresearch.trials.suspend import SuspendFailed

LOOK_INTERVAL_S = 1.0  # between two looks at the flags and the lease, which may lie on a slow shared file system
PROGRESS_INTERVAL_S = 1.0
AHEAD_OF_LIMIT = signal.SIGUSR2  # submitit has Slurm send it 90 s before the time limit, and would requeue the job
ENDING_SIGNALS = (signal.SIGTERM, AHEAD_OF_LIMIT)  # the first is that of scancel and preemption

MakeRunner = Callable[[JobRequest, Path, Callable[[], bool]], RequestRunner]


class _Refused(Exception):
    """This node may not measure."""


@dataclass(slots=True)
class Watch:
    """Whether the job must end, looked up at most every ``look_interval_s``."""

    folder: JobFolder
    lease: Path
    lease_s: float
    look_interval_s: float = LOOK_INTERVAL_S
    clock: Callable[[], float] = time.monotonic
    signalled: int = 0  # the first signal with which Slurm ends the job
    why: End | None = None  # once it must end
    suspends: bool = False
    _looked_at: float = float("-inf")
    _lease: bytes = b""
    _renewed_at: float = field(default=float("-inf"))

    def must_end(self) -> bool:
        """Whether the child must be ended now; ``why`` names the reason."""
        if self.signalled:
            self.why = self.why or "interrupted"
        self._look()
        return self.why is not None

    def must_suspend(self) -> bool:
        self._look()
        return self.suspends

    def _look(self) -> None:
        now = self.clock()
        if now - self._looked_at < self.look_interval_s:
            return
        self._looked_at = now
        if not self.folder.is_there() or self.folder.has_flag(GIVEN_UP):
            self.why = self.why or "interrupted"
        self.suspends = self.suspends or self.folder.has_flag(SUSPEND)
        # By this node's clock: the daemon's and the file system's may differ from it.
        if self._renewed_at == float("-inf"):
            self._renewed_at = now
        try:
            lease = self.lease.read_bytes()
        except OSError:
            lease = self._lease
        if lease != self._lease:
            self._lease, self._renewed_at = lease, now
        elif now - self._renewed_at > self.lease_s:
            self.why = self.why or "lease_over"


def run_job(folder: str) -> None:
    """What submitit calls on the node. Whatever happens is written into the folder."""
    here = JobFolder(Path(folder))
    job = os.environ.get("SLURM_JOB_ID", "")
    if here.claim(job):
        do_request(here, os.environ, fork_on_this_node, catch_signals)


def catch_signals(watch: Watch) -> None:
    """Have the signals with which Slurm ends a job end its child, in place of submitit's handlers."""

    def handle(number: int, _frame: object) -> None:
        watch.signalled = watch.signalled or number

    for number in ENDING_SIGNALS:
        signal.signal(number, handle)


def fork_on_this_node(request: JobRequest, folder: Path, aborted: Callable[[], bool]) -> RequestRunner:
    return ChildRunner(TrialServer(request.trainer, folder / "trial-server.log"), aborted)


def do_request(
    here: JobFolder, environ: Mapping[str, str], make_runner: MakeRunner, listen: Callable[[Watch], None]
) -> None:
    """Do what the folder requests and write its result."""
    try:
        request = here.read(REQUEST, JobRequest)
    except BadJobFile as e:
        here.write(RESULT, JobResult(end="error", detail=str(e), hint=f"is autoresearch {__version__} on all nodes?"))
        return
    if request is None:
        return
    watch = Watch(here, Path(request.lease), request.lease_s)
    listen(watch)
    here.write(STARTED, JobStarted(node=node_name(environ), job=environ.get("SLURM_JOB_ID", "")))
    result = _run(request, here, environ, make_runner(request, here.path, watch.must_end), watch)
    if here.is_there():  # else the daemon has removed it
        here.write(RESULT, result)


def _run(
    request: JobRequest, here: JobFolder, environ: Mapping[str, str], runner: RequestRunner, watch: Watch
) -> JobResult:
    began = time.monotonic()
    written_at = float("-inf")
    last: JobProgress | None = None

    def progressed(phase: str, fraction: float, step: int, tokens_per_s: float | None) -> None:
        nonlocal written_at, last
        last = JobProgress(phase=phase, fraction=fraction, step=step, tokens_per_s=tokens_per_s)
        if time.monotonic() - written_at >= PROGRESS_INTERVAL_S and here.is_there():
            here.write(PROGRESS, last)
            written_at = time.monotonic()

    suspend = SuspendControl(watch.must_suspend, request.suspended_at)
    try:
        _compare(request, environ, runner)
        began = time.monotonic()
        output, code, peak = runner.run(request.request, progressed, request.limit, request.deadline_s, suspend)
    except Interrupted:
        at_limit = watch.signalled == AHEAD_OF_LIMIT
        cause = Cause.TIMEOUT if at_limit and watch.why == "interrupted" else None
        return JobResult(end=watch.why or "interrupted", kill_cause=cause, wall_s=time.monotonic() - began)
    except SuspendFailed as e:
        return JobResult(end="suspend_failed", detail=str(e), step=e.step, wall_s=time.monotonic() - began)
    except _Refused as e:
        return JobResult(end="refused", detail=f"node {node_name(environ)}: {e}")
    except AutoresearchError as e:
        return JobResult(end="error", detail=f"node {node_name(environ)}: {e.what}", hint=e.hint)
    if last is not None and here.is_there():
        here.write(PROGRESS, last)
    return _result(output, code, peak, time.monotonic() - began)


def _result(output: ChildOutput, exit_code: int | None, peak: int | None, wall_s: float) -> JobResult:
    cause, detail = output.kill_reason or (None, "")
    return JobResult(
        end="done",
        answer=None if output.answer is None else json.dumps(output.answer),
        garbage=output.garbage,
        stderr=output.stderr.decode(errors="replace"),
        step=output.step,
        first_step=output.first_step,
        kill_cause=cause,
        kill_detail=detail,
        extended_s=output.extended_s,
        exit_code=exit_code,
        peak_bytes=peak,
        wall_s=wall_s,
    )


def _compare(request: JobRequest, environ: Mapping[str, str], runner: RequestRunner) -> None:
    """Compare this node with the first one, once per session. Raises ``_Refused``."""
    if request.package != __version__:
        raise _Refused(f"autoresearch {__version__}, not {request.package}")
    expected, mark = request.expected, mark_of_node(Path(request.checked), environ)
    if expected is None or mark.exists() or isinstance(request.request, ProbeRequest):
        return
    found = runner.probe(expected.device, request.trainer, request.deadline_s)
    wanted = (expected.device_kind, expected.versions)
    if why := find_device_difference((found.kind, found.versions), wanted) or corpus_difference(expected):
        raise _Refused(why)
    mark.touch()
