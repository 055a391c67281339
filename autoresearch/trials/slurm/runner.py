"""Has each request done by a job of its own: submit, follow through the job's folder, name how it ended.

The interface is that of ``runner.ChildRunner``: whoever measures does not see whether the child was forked here. A job
that Slurm lost without a result (its node failed, it was preempted) is submitted again as a new job in a new folder, a
bounded number of times; the folder of the lost one is given up first, so that no result counts twice.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from autoresearch import __version__
from autoresearch.core.ports import NEVER_SUSPENDED, Interrupted, OnProgress, SuspendControl
from autoresearch.errors import TrialServerError
from autoresearch.machine import explain_os_error
from autoresearch.trials.child_output import ChildOutput
from autoresearch.trials.requests import Request
from autoresearch.trials.runner import probe_device
from autoresearch.trials.slurm.cluster import ControllerUnreachable
from autoresearch.trials.slurm.followed_job import Answer, FollowedJob, LostJob
from autoresearch.trials.slurm.job_folder import (
    JobFolder,
    JobRequest,
)
from autoresearch.trials.slurm.resources import resources_for
from autoresearch.trials.slurm.session import SlurmSession, wait_until
from autoresearch.trials.spec import Device
from autoresearch.trials.suspend import SuspendFailed

CONTROLLER_WAIT_S = 1800.0  # for a controller that does not answer when a job is to be submitted
SUBMIT_AGAIN_S = 5.0


@dataclass(slots=True)
class SlurmRunner:
    """See ``runner.RequestRunner``. One at a time for each runner; the session is shared."""

    session: SlurmSession
    trainer: str
    aborted: Callable[[], bool]

    def probe(self, device: str, trainer: str, deadline_s: float) -> Device:
        return probe_device(self, device, trainer, deadline_s)

    def run(
        self,
        request: Request,
        on_progress: OnProgress,
        limit: int | None,
        deadline_s: float,
        suspend: SuspendControl = NEVER_SUSPENDED,
    ) -> Answer:
        """See ``RequestRunner``. Raises ``TrialServerError`` where no job can do it."""
        losses: list[LostJob] = []
        submit_until: float | None = None
        while True:
            try:
                ended = self._attempt(request, on_progress, limit, deadline_s, suspend)
            except ControllerUnreachable as e:
                submit_until = submit_until or time.monotonic() + CONTROLLER_WAIT_S
                if time.monotonic() > submit_until:
                    raise
                self._wait_for_controller(e, on_progress, suspend)
                continue
            submit_until = None
            if isinstance(ended, tuple):
                return ended
            if isinstance(ended, LostJob):
                losses.append(ended)
                self.session.note(str(ended))
                if Counter(loss.end for loss in losses)[ended.end] >= ended.end.attempts:
                    return _failed(losses, on_progress)
            # else the node was refused, and the next job goes to another one

    def _wait_for_controller(
        self, error: ControllerUnreachable, on_progress: OnProgress, suspend: SuspendControl
    ) -> None:
        """Wait a little; the next try has a folder of its own, so that a job that was accepted unseen does nothing."""
        self.session.note(error.what)
        on_progress("waiting for Slurm's controller", 0.0, 0, None)
        requested = lambda: self.aborted() or suspend.requested()  # noqa: E731
        wait_until(requested, SUBMIT_AGAIN_S, self.session.look_interval_s)
        if self.aborted():
            raise Interrupted("stopped at once")
        if suspend.requested():
            raise SuspendFailed("it had not begun to train", None, 0.0)

    def _attempt(
        self,
        request: Request,
        on_progress: OnProgress,
        limit: int | None,
        deadline_s: float,
        suspend: SuspendControl,
    ) -> Answer | LostJob | None:
        """One job from its submission to its end: its answer, its loss, or ``None`` where its node was refused."""
        session = self.session
        folder = JobFolder(session.new_folder(request.kind))
        order = JobRequest(
            package=__version__,
            trainer=self.trainer,
            request=request,
            deadline_s=deadline_s,
            limit=limit,
            suspended_at=suspend.suspended_at,
            lease=str(session.lease),
            lease_s=session.lease_s,
            expected=session.expected,
            checked=str(session.checked),
        )
        try:
            folder.create(order)
        except OSError as e:
            why, hint = explain_os_error(e)
            raise TrialServerError(f"{folder.path} cannot be written: {why}", hint=hint) from e
        try:
            job = session.submit(folder.path, resources_for(limit, deadline_s, session.cpus, session.gpus))
            followed = FollowedJob(session, self.aborted, job, folder, ChildOutput(on_progress), suspend)
            try:
                return followed.to_its_end()
            finally:
                followed.leave()
        finally:
            folder.remove()


def _failed(losses: list[LostJob], on_progress: OnProgress) -> Answer:
    """The output of a request that no job answered."""
    output = ChildOutput(on_progress)
    output.kill_reason = losses[-1].end.cause, "; then ".join(map(str, losses))
    output.wall_s = 0.0
    return output, None, None
