"""The daemon's end of the trial server: start it, request a child, receive the child's exit code."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autoresearch.config.secrets import without_secrets
from autoresearch.errors import TrialServerError
from autoresearch.machine import explain_os_error
from autoresearch.storage.files import open_append
from autoresearch.trials.requests import Request
from autoresearch.trials.start_failure import advise
from autoresearch.trials.trainers import TRAINERS

START_DEADLINE_S = 180.0  # importing torch from a cold, slow disk
FORK_DEADLINE_S = 30.0
CLOSE_DEADLINE_S = 5.0
EXIT_DEADLINE_S = 1.0  # of a server that has closed its end of the socket
POLL_INTERVAL_S = 0.1
MAX_REPLY_BYTES = 1 << 16
CACHE_ENV = "TORCHINDUCTOR_CACHE_DIR"
SERVER_ENV = {
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it torch refuses deterministic matrix products on CUDA
    "OPENBLAS_NUM_THREADS": "1",  # NumPy's BLAS starts its thread pool at import otherwise
    # A waiting thread spins for a few microseconds and then sleeps. Without a limit spinning makes a trial ten times
    # slower as soon as another process needs a core, and a desktop machine always runs other processes; without any,
    # a small model's step takes a quarter longer on an idle machine (docs/decisions.md).
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "1000",
    # Query NVML instead of the CUDA driver: that would create a CUDA context, which no fork can use.
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    "TORCH_WARM_POOL": "0",  # older torch starts compile workers, and a thread, at import
    # Reuse the memory of a step's tensors instead of mapping it from the kernel each time, in huge pages where possible
    # (benchmarks/RESULTS.md).
    "GLIBC_TUNABLES": ":".join(
        (
            "glibc.malloc.mmap_threshold=33554432",
            "glibc.malloc.trim_threshold=4294967296",
            "glibc.malloc.hugetlb=1",
        )
    ),
}


def compile_cache() -> Path:
    """The folder in which compiled layers survive trials, processes and reboots."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autoresearch" / "inductor"
    return Path(os.environ.get(CACHE_ENV) or default)


class ServerLost(Exception):
    """The server's process ended; its child ended with it."""


def cannot(what: str, error: OSError) -> TrialServerError:
    """The error for a failed system call on the way to a trial."""
    why, hint = explain_os_error(error)
    return TrialServerError(f"{what}: {why}", hint=hint)


class TrialServer:
    """The process that forks trials (``training.server``); started when first needed, and again if lost."""

    module = "autoresearch.training.server"

    def __init__(
        self, trainer: str, log: Path, env: Mapping[str, str] | None = None, cores: Sequence[int] = ()
    ) -> None:
        """``env`` is added to its environment; it and its trials run on ``cores``, on every core if none are given."""
        self.trainer = trainer
        self.log = log
        self.env = dict(env or {})
        self.cores = tuple(cores)
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._log_start = 0  # where the output of the server's last start begins in ``log``
        self.preloaded = TRAINERS[trainer].modules_to_preload()

    @property
    def pid(self) -> int | None:
        """The server's process id, if it runs."""
        return self._process.pid if self._process else None

    def fork(self, request: Request, pipes: Sequence[int], aborted: Callable[[], bool]) -> int:
        """Fork a child for ``request`` and return its pid. Starts the server if it does not run.

        The child writes messages to the first of the ``pipes`` and stderr to the second; it reads a request to suspend
        from the third. Raises ``TrialServerError`` if the server does not start, ``ServerLost`` if it ends, hangs or
        ``aborted`` returns true before it has forked.
        """
        link = self._connected(aborted)
        try:
            socket.send_fds(link, [request.model_dump_json().encode()], list(pipes))
            if not self._answers_within(FORK_DEADLINE_S, aborted):
                raise TimeoutError("the trial server does not answer")
            reply = self._receive()
        except OSError as e:  # TimeoutError is one
            self.close()  # so that the next fork starts a new one
            raise ServerLost("the trial server does not respond") from e
        if "errno" in reply:
            error = OSError(reply["errno"], os.strerror(reply["errno"]))
            raise cannot("the trial server cannot start a trial", error)
        return int(reply["pid"])

    def fileno(self) -> int:
        """Readable when the child's exit is known or the server is lost."""
        if self._socket is None:
            raise ServerLost("the trial server has ended")
        return self._socket.fileno()

    def child_exit(self) -> tuple[int, int]:
        """The child's exit code (negative: ended by that signal) and peak memory in bytes. Raises ``ServerLost``."""
        reply = self._receive()
        return int(reply["exit"]), int(reply["peak_bytes"])

    def close(self) -> None:
        """End the server and its child, if any; does nothing if the server does not run."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.kill()  # effective on a stopped process too
            # A process in an uninterruptible system call is left to the kernel.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(CLOSE_DEADLINE_S)
            self._process = None

    def _connected(self, aborted: Callable[[], bool]) -> socket.socket:
        if self._socket is None:
            self._start(aborted)
        assert self._socket is not None
        return self._socket

    def _start(self, aborted: Callable[[], bool]) -> None:
        """Start the server and wait until it has imported the trainer. Raises ``ServerLost`` if ``aborted``.

        Where an import of the network's packages uses the GPU or starts threads, the server is started again without
        it: each trial then imports the network itself.
        """
        unfit = self._start_with_preload(aborted)
        if unfit and TRAINERS[self.trainer].network_module in self.preloaded:
            self.preloaded = tuple(m for m in self.preloaded if m != TRAINERS[self.trainer].network_module)
            unfit = self._start_with_preload(aborted)
        if unfit:
            raise TrialServerError(
                f"the trial server has {unfit} after its imports: no trial can be forked",
                hint="a package that torch imports starts threads or uses the GPU at import; try without it",
            )

    def _start_with_preload(self, aborted: Callable[[], bool]) -> str:
        """Start the server once. What makes it unfit to fork trials, which ends it, or an empty string."""
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as e:
            raise cannot("the trial server cannot be started", e) from e
        ours.settimeout(FORK_DEADLINE_S)  # of a send to a server that reads nothing
        try:
            self._process = self._launch(theirs)
        except OSError as e:
            ours.close()
            raise cannot("the trial server cannot be started", e) from e
        self._socket = ours
        return self._await_ready(aborted)

    def _launch(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        env = {CACHE_ENV: str(compile_cache()), **without_secrets(os.environ), **SERVER_ENV, **self.env}
        command = [sys.executable, "-P", "-m", self.module, str(theirs.fileno()), str(os.getpid())]
        # A session of its own keeps a Ctrl-C at the terminal away from the running trial.
        with theirs, os.fdopen(open_append(self.log), "ab") as log:
            self._log_start = os.fstat(log.fileno()).st_size
            process = subprocess.Popen(
                [*command, *self.preloaded],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                start_new_session=True,
            )
        if self.cores:  # inherited by its trials and by every thread that they start
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(process.pid, self.cores)
        return process

    def _answers_within(self, seconds: float, aborted: Callable[[], bool]) -> bool:
        """Wait for the server's next message; false once the seconds are over or ``aborted`` returns true."""
        assert self._socket is not None
        deadline = time.monotonic() + seconds
        while not select.select([self._socket], [], [], POLL_INTERVAL_S)[0]:
            if aborted() or time.monotonic() > deadline:
                return False
        return True

    def _await_ready(self, aborted: Callable[[], bool]) -> str:
        code: int | None = None
        with contextlib.suppress(ServerLost):
            if self._answers_within(START_DEADLINE_S, aborted):
                code = self._exit_code()
                ready = self._receive()
                if ready["threads"] == 1 and not ready["on_gpu"]:
                    return ""
                self.close()
                return "a CUDA context" if ready["on_gpu"] else f"{ready['threads']} threads, not 1,"
        if aborted():
            self.close()
            raise ServerLost("stopped while the trial server started")
        self.close()
        raise self._start_failure(code)

    def _start_failure(self, code: int | None) -> TrialServerError:
        """The error that quotes the last line of this start; ``code`` is the server's exit code if it has ended."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            tail = (log.read().decode(errors="replace").strip().splitlines() or ["it printed nothing"])[-1]
        hint = advise(tail, code, os.environ, TRAINERS[self.trainer].extras, str(self.log))
        return TrialServerError(f"the trial server for trainer {self.trainer} did not start: {tail}", hint=hint)

    def _exit_code(self) -> int | None:
        """The exit code of a server that has closed its end of the socket; ``None`` while it runs."""
        assert self._socket is not None
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired, BlockingIOError):
            if not self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                return self._process.wait(EXIT_DEADLINE_S)
        return None

    def _receive(self) -> dict[str, Any]:
        assert self._socket is not None
        try:
            data = self._socket.recv(MAX_REPLY_BYTES)
        except OSError:  # TimeoutError is one
            data = b""
        if not data:
            self.close()
            raise ServerLost("the trial server has ended")
        reply: dict[str, Any] = json.loads(data)
        return reply
