"""One job of Slurm at work, followed through its folder and by Slurm's word, to its answer or its loss."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from autoresearch.core.measurement import Cause
from autoresearch.core.ports import Interrupted, SuspendControl
from autoresearch.errors import TrialServerError
from autoresearch.trials.child_output import ChildOutput
from autoresearch.trials.slurm.job_folder import (
    GIVEN_UP,
    PROGRESS,
    RESULT,
    STARTED,
    SUSPEND,
    BadJobFile,
    JobFolder,
    JobProgress,
    JobResult,
    JobStarted,
)
from autoresearch.trials.slurm.session import SlurmSession, wait_until
from autoresearch.trials.slurm.states import AT_LIMIT, LEASE_OVER, REQUEUED, UNKNOWN_JOB, JobEnd, JobState, name_end
from autoresearch.trials.suspend import SUSPEND_DEADLINE_S, SuspendFailed

# A result may show on the daemon's machine later than Slurm's word that the job has ended (NFS: 60 s at most).
RESULT_DELAY_S = 20.0
FORGOTTEN_AFTER_S = 60.0  # for which Slurm may not know a job that it has just accepted
END_WAIT_S = 12.0  # for a job that was cancelled
LAST_LINE_CHARS = 300
SIGKILLED = -9

Answer = tuple[ChildOutput, int | None, int | None]


@dataclass(frozen=True, slots=True)
class LostJob:
    """A job that ended without a result."""

    job: str
    end: JobEnd
    where: str
    last_line: str = ""

    def __str__(self) -> str:
        where = f" on {self.where}" if self.where else ""
        return f"job {self.job}{where} {self.end.what}{f'; it printed {self.last_line!a}' if self.last_line else ''}"


@dataclass(slots=True)
class FollowedJob:
    """One job at work."""

    session: SlurmSession
    aborted: Callable[[], bool]
    job: str
    folder: JobFolder
    output: ChildOutput
    suspend: SuspendControl
    progress: JobProgress | None = None
    suspend_sent_at: float | None = None
    submitted_at: float = field(default_factory=time.monotonic)
    shown: str = ""
    over: bool = False  # it is known to have ended

    def to_its_end(self) -> Answer | LostJob | None:
        """See ``SlurmRunner._attempt``. Raises ``Interrupted`` and ``SuspendFailed``."""
        while True:
            if self.aborted():
                self.end_now()
                raise Interrupted("stopped at once")
            self._show_progress()
            if (result := self._result()) is not None:
                return self._answer(result)
            state = self.session.state(self.job)
            self._obey_suspension(state)
            if (end := self._end(state)) is not None:
                return self._without_result(end, state)
            time.sleep(self.session.look_interval_s)

    def leave(self) -> None:
        """Give the job up: if it still runs it ends, and nothing that it writes is read."""
        if not self.over:
            with contextlib.suppress(OSError):
                self.folder.set_flag(GIVEN_UP)
            self.session.cancel(self.job)
        self.session.forget(self.job)

    def end_now(self) -> None:
        """Cancel the job and wait a little for its end."""
        with contextlib.suppress(OSError):
            self.folder.set_flag(GIVEN_UP)
        self.session.cancel(self.job)
        self.over = wait_until(self._has_ended, END_WAIT_S, self.session.look_interval_s)

    def _has_ended(self) -> bool:
        state = self.session.state(self.job)
        return self._end(state) is not None or (state is None and self.session.answers)

    def _show_progress(self) -> None:
        with contextlib.suppress(BadJobFile):  # of no weight; the result is what counts
            now = self.folder.read(PROGRESS, JobProgress)
            if now is not None and now != self.progress:
                self.progress = now
                self.output.on_progress(now.phase, now.fraction, now.step, now.tokens_per_s)

    def _result(self) -> JobResult | None:
        try:
            result = self.folder.read(RESULT, JobResult)
        except BadJobFile as e:
            result = JobResult(end="done", garbage=ascii(str(e)), exit_code=0)
        if result is not None:
            self._show_progress()  # the last one was written before the result
        return result

    def _answer(self, result: JobResult) -> Answer | LostJob | None:
        self.over = True  # but for the job's own last steps
        match result.end:
            case "suspend_failed":
                raise SuspendFailed(result.detail, result.step, result.wall_s)
            case "error":
                raise TrialServerError(result.detail, hint=result.hint)
            case "refused":
                self.session.refuse(self._node(), result.detail)
                return None
            case "lease_over":
                return LostJob(self.job, LEASE_OVER, self._node())
            case "interrupted":  # not by this daemon: preempted, cancelled, at its limit; Slurm names it
                end, state = self._final_state()
                # A job that heeds a signal is COMPLETED.
                named = state is not None and state.end is not None and state.state != "COMPLETED"
                return self._without_result(end if named or result.kill_cause is None else AT_LIMIT, state)
        self._fill(result)
        if result.exit_code == SIGKILLED and result.kill_cause is None:
            end, _state = self._final_state()
            if end.cause is Cause.OUT_OF_MEMORY:  # the kernel chose the child, in the job's control group
                self.output.kill_reason = end.cause, f"job {self.job} {end.what}"
        return self.output, result.exit_code, result.peak_bytes

    def _fill(self, result: JobResult) -> None:
        output = self.output
        output.answer = None if result.answer is None else _parse_answer(result.answer)
        output.garbage = result.garbage
        output.stderr[:] = result.stderr.encode(errors="replace")
        output.step, output.first_step, output.extended_s = result.step, result.first_step, result.extended_s
        output.wall_s = result.wall_s
        if result.kill_cause is not None:
            output.kill_reason = result.kill_cause, result.kill_detail

    def _end(self, state: JobState | None) -> JobEnd | None:
        """How the job ended by Slurm's word; ``None`` while it may run, and while Slurm does not answer."""
        if state is not None:
            self._show_state(state)
            return state.end
        if not self.session.answers:
            self._show("waiting for Slurm's controller")
            return None
        late = time.monotonic() - self.submitted_at > FORGOTTEN_AFTER_S
        return UNKNOWN_JOB if late else None

    def _final_state(self) -> tuple[JobEnd, JobState | None]:
        """How Slurm says that the job ended, soon after its last words; as cancelled where it does not say."""

        def ended() -> bool:
            state = self.session.state(self.job)
            return state is not None and state.end is not None

        wait_until(ended, RESULT_DELAY_S, self.session.look_interval_s)
        state = self.session.state(self.job)
        end = state.end if state is not None else None
        return end or UNKNOWN_JOB, state

    def _without_result(self, end: JobEnd, state: JobState | None) -> Answer | LostJob | None:
        """The end of a job by Slurm's word, unless its result shows after all. Raises ``TrialServerError``."""
        self.over = state is not None and state.state not in REQUEUED
        found: list[JobResult] = []

        def result_is_there() -> bool:
            found.extend(filter(None, [self._result()]))
            return bool(found)

        normal_end = end.cause is Cause.EXITED  # it was able to write one
        delay_s = RESULT_DELAY_S if normal_end else 0.0
        if wait_until(result_is_there, delay_s, self.session.look_interval_s) and found[0].end != "interrupted":
            return self._answer(found[0])
        log = self._log()
        end, last_line = name_end(end, log), last_line_of(log)
        if self._started() is None and end.cause in (Cause.EXITED, Cause.KILLED) and end.attempts == 1:
            where = f" on {state.node}" if state and state.node else ""
            what = f"job {self.job}{where} {end.what}, before it began: {last_line or 'it printed nothing'}"
            hint = f"is {self.folder.path.parent} on a file system that all nodes share, and this Python too?"
            raise TrialServerError(what, hint=hint)
        return LostJob(self.job, end, state.node if state else self._node(), last_line)

    def _obey_suspension(self, state: JobState | None) -> None:
        """Pass a requested suspension on. Raises ``SuspendFailed`` where there is nothing to wait for."""
        if self.suspend_sent_at is None and self.suspend.requested():
            if state is not None and state.waits:
                self.end_now()
                raise SuspendFailed("it had not begun to train", None, 0.0)
            with contextlib.suppress(OSError):
                self.folder.set_flag(SUSPEND)
            self.suspend_sent_at = time.monotonic()
        if self.suspend_sent_at is None:
            return
        if state is not None and state.waits:  # it began to wait again, or had not begun after all
            self.end_now()
            raise SuspendFailed("it had not begun to train", None, 0.0)
        if time.monotonic() - self.suspend_sent_at > 2 * SUSPEND_DEADLINE_S:
            self.end_now()
            step = self.progress.step if self.progress else None
            raise SuspendFailed(f"job {self.job} did not stop within {2 * SUSPEND_DEADLINE_S:g} s", step)

    def _show_state(self, state: JobState) -> None:
        if state.waits:
            self._show(f"queued in Slurm{f' ({state.reason})' if state.reason not in ('', 'None') else ''}")
        elif state.state == "SUSPENDED":
            self._show("suspended by Slurm")

    def _show(self, phase: str) -> None:
        if phase != self.shown and self.progress is None:
            self.shown = phase
            self.output.on_progress(phase, 0.0, 0, None)

    def _started(self) -> JobStarted | None:
        with contextlib.suppress(BadJobFile):
            return self.folder.read(STARTED, JobStarted)
        return None

    def _node(self) -> str:
        started = self._started()
        return started.node if started else ""

    def _log(self) -> str:
        """The end of what the job and Slurm's own programs in it printed."""
        try:
            return "".join(path.read_text(errors="replace")[-8192:] for path in self.folder.path.glob("*_log.err"))
        except OSError:
            return ""


def last_line_of(log: str) -> str:
    """The last line that the job itself printed, or else the last one."""
    lines = [line for line in log.strip().splitlines() if not line.startswith(("srun:", "slurmstepd"))]
    return (lines or log.strip().splitlines() or [""])[-1][-LAST_LINE_CHARS:]


def _parse_answer(text: str) -> dict[str, object]:
    """The child's message; an empty one, which no answer has, where it is not an object."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return dict(answer) if isinstance(answer, dict) else {}
