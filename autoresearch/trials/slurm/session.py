"""One start of a daemon on a cluster: its lease, its jobs, and what it knows of their states and of the nodes.

A lease is a file that a thread renews for as long as this process lives. Every job of the session watches it and ends
its trial ``LEASE_S`` after the last renewal that it saw. The next start has another session, and cancels the jobs that
are left of earlier ones before it submits its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from autoresearch.errors import TrialServerError
from autoresearch.machine import explain_os_error, utc
from autoresearch.storage.files import open_append
from autoresearch.trials.slurm.cluster import Cluster
from autoresearch.trials.slurm.job_folder import Expected
from autoresearch.trials.slurm.resources import Resources
from autoresearch.trials.slurm.states import JobState

RENEW_S = 10.0
LEASE_S = 120.0  # above RENEW_S and the 60 s for which an NFS client may believe its cache
STATES_INTERVAL_S = 2.0  # between two calls of squeue, whatever the number of jobs
END_DEADLINE_S = 150.0  # for jobs of an earlier session: their lease, and a KillWait of 30 s
FOLDER = "slurm"  # in the run directory
LOG = "slurm.log"


@dataclass(slots=True)
class SlurmSession:
    """See the module. Its methods are called from several threads; ``open`` and ``close`` from one."""

    cluster: Cluster
    run_dir: Path
    logs: Path
    cpus: int
    gpus: int = 0
    expected: Expected | None = None  # of every node; set once the first one was looked at
    look_interval_s: float = 0.25  # between two looks at a job's files
    states_interval_s: float = STATES_INTERVAL_S
    renew_s: float = RENEW_S
    lease_s: float = LEASE_S
    refused: list[str] = field(default_factory=list)  # nodes that must not measure
    path: Path = field(init=False)
    _open: dict[str, str] = field(default_factory=dict)  # the state last seen of each job that has not ended
    _known: dict[str, JobState] = field(default_factory=dict)
    _asked_at: float = float("-inf")
    answers: bool = True  # whether Slurm did when last asked
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _closing: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _count: int = 0

    def __post_init__(self) -> None:
        self.path = self.run_dir.resolve() / FOLDER / uuid.uuid4().hex[:12]

    @property
    def prefix(self) -> str:
        """Of the names of this run's jobs, whichever session submitted them."""
        return f"autoresearch-{sha256(os.fsencode(self.run_dir.resolve())).hexdigest()[:12]}-"

    @property
    def lease(self) -> Path:
        return self.path / "lease"

    @property
    def checked(self) -> Path:
        return self.path / "nodes"

    def open(self) -> None:
        """Cancel what an earlier session left, then start the lease. Raises ``TrialServerError``."""
        self._end_left_jobs()
        try:
            shutil.rmtree(self.path.parent, ignore_errors=True)
            self.checked.mkdir(parents=True)
            self.renew(0)
        except OSError as e:
            why, hint = explain_os_error(e)
            raise TrialServerError(f"{self.path} cannot be written: {why}", hint=hint) from e
        self._thread = threading.Thread(target=self._keep_renewing, name="slurm-lease", daemon=True)
        self._thread.start()

    def renew(self, count: int) -> None:
        """Change the content of the lease, which is what jobs look at: clocks of machines differ."""
        self.lease.write_text(f"{count}\n")

    def _keep_renewing(self) -> None:
        count = 0
        while not self._closing.wait(self.renew_s):
            count += 1
            with contextlib.suppress(OSError):  # a full disk now may be free at the next time
                self.renew(count)

    def _end_left_jobs(self) -> None:
        left = self.cluster.open_jobs(self.prefix)
        if not left:
            return
        self.note(f"cancelling jobs of an earlier start: {', '.join(left)}")
        deadline = time.monotonic() + END_DEADLINE_S
        while left:
            self.cluster.cancel(left)
            if time.monotonic() > deadline:
                hint = f"scancel {' '.join(left)}; then see squeue --me"
                raise TrialServerError(f"jobs of an earlier start do not end: {', '.join(left)}", hint=hint)
            self._closing.wait(self.states_interval_s)
            left = self.cluster.open_jobs(self.prefix)

    def new_folder(self, what: str) -> Path:
        """A folder for one job, whose name was never used before."""
        with self._lock:
            self._count += 1
            return self.path / f"{self._count:06d}-{what}"

    def submit(self, folder: Path, resources: Resources) -> str:
        """Submit the job of a folder; its number. Raises ``TrialServerError``."""
        with self._lock:
            exclude = tuple(self.refused)
        job = self.cluster.submit(folder, f"{self.prefix}{folder.name}", resources, exclude)
        with self._lock:
            self._open[job] = ""
            self._asked_at = float("-inf")
        self.note(f"job {job} submitted: {folder.name}, {resources.memory_mib} MiB, {resources.minutes} min")
        return job

    def state(self, job: str, *, at_once: bool = False) -> JobState | None:
        """The state of a job; ``None`` where Slurm does not know it, or did not answer (``answers``).

        Slurm is asked about all jobs together, at most every ``states_interval_s``.
        """
        with self._lock:
            now = time.monotonic()
            if at_once or now - self._asked_at >= self.states_interval_s:
                found = self.cluster.states(list(self._open))
                self._asked_at, self.answers = time.monotonic(), found is not None
                if found is not None:
                    self._known = dict(found)
                    self._note_changes()
            return self._known.get(job)

    def cancel(self, job: str) -> None:
        """Have Slurm end a job."""
        self.cluster.cancel([job])

    def forget(self, job: str) -> None:
        """Stop asking about a job."""
        with self._lock:
            self._open.pop(job, None)

    def refuse(self, node: str, why: str) -> None:
        """Submit no more jobs to a node."""
        with self._lock:
            if node not in self.refused:
                self.refused.append(node)
        self.note(f"not on {node} any more: {why}")

    def note(self, line: str) -> None:
        """Add a line to the log of the session; best effort."""
        with self._lock, contextlib.suppress(OSError), os.fdopen(open_append(self.logs / LOG), "a") as log:
            log.write(f"{utc()} {line}\n")

    def close(self) -> None:
        """Have Slurm end what is left, and let the lease lapse."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(self.renew_s)
            self._thread = None
        with self._lock:
            left = list(self._open)
            self._open.clear()
        with contextlib.suppress(TrialServerError):
            left = list({*left, *self.cluster.open_jobs(self.prefix)})
        self.cluster.cancel(left)
        shutil.rmtree(self.path, ignore_errors=True)  # a job that still runs ends once its folder is gone
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()

    def _note_changes(self) -> None:
        for job, at in self._known.items():
            if self._open.get(job, at.state) != at.state:
                self._open[job] = at.state
                self.note(f"job {job} {at.state} {at.node or at.reason}")


def wait_until(done: Callable[[], bool], seconds: float, interval_s: float) -> bool:
    """Whether ``done`` came true in time."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval_s)
    return True
