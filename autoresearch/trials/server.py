"""The daemon's end of the warm trial server: start it, ask it for a child, hear how the child ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from autoresearch.config.secrets import without_secrets
from autoresearch.errors import TrialServerError
from autoresearch.storage.files import open_append

START_DEADLINE_S = 180.0  # importing torch from a cold, slow disk
FORK_DEADLINE_S = 30.0
POLL_INTERVAL_S = 0.1
MAX_REPLY_BYTES = 1 << 16
CACHE_ENV = "TORCHINDUCTOR_CACHE_DIR"
SERVER_ENV = {
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it torch refuses deterministic matrix products on CUDA
    "OPENBLAS_NUM_THREADS": "1",  # NumPy's BLAS starts its thread pool at import otherwise
    # A waiting thread sleeps instead of spinning: spinning makes a trial ten times slower as soon as anything else
    # wants a core, and a desk machine always runs something else (docs/decisions.md).
    "OMP_WAIT_POLICY": "PASSIVE",
    # Ask the driver's library, not the driver: a server that has asked that holds a context, which no fork survives.
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    "TORCH_WARM_POOL": "0",  # older torch starts compile workers, and a thread, when it is imported
    # Keep and reuse the tensors of a step instead of mapping them afresh from the kernel each time, on huge pages where
    # the kernel gives them (benchmarks/RESULTS.md).
    "GLIBC_TUNABLES": ":".join(
        (
            "glibc.malloc.mmap_threshold=33554432",
            "glibc.malloc.trim_threshold=4294967296",
            "glibc.malloc.hugetlb=1",
        )
    ),
}


def compile_cache() -> Path:
    """Where compiled layers survive trials, processes and reboots."""
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autoresearch" / "inductor"
    return Path(os.environ.get(CACHE_ENV) or own)


class ServerLost(Exception):
    """The server's process ended; its child ended with it."""


class TrialServer:
    """A warm process that forks trials (``training.warm``); started when first needed, and again if lost."""

    def __init__(self, trainer: str, log: Path) -> None:
        self.trainer = trainer
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """The server's process, if one runs."""
        return self._process.pid if self._process else None

    def fork(self, request: dict[str, Any], pipes: Sequence[int], aborted: Callable[[], bool]) -> int:
        """A child for ``request``; its pid. Starts the server if none is there.

        Of the ``pipes`` it writes to the first (answers) and the second (stderr); the third tells it to stop.

        Raises ``TrialServerError`` if it does not start, ``ServerLost`` if it ends, hangs or is not wanted any more
        before it has forked.
        """
        link = self._connected()
        try:
            socket.send_fds(link, [json.dumps(request).encode()], list(pipes))
            deadline = time.monotonic() + FORK_DEADLINE_S
            while not select.select([link], [], [], POLL_INTERVAL_S)[0]:
                if aborted() or time.monotonic() > deadline:
                    raise TimeoutError("the trial server does not answer")
            return int(self._receive()["pid"])
        except OSError as e:  # TimeoutError is one
            self.close()  # so that the next fork starts a new one
            raise ServerLost("the trial server is gone") from e

    def fileno(self) -> int:
        """Readable when the child's exit is known or the server is lost."""
        return self._connected().fileno()

    def child_exit(self) -> tuple[int, int]:
        """How the child ended (negative: by that signal) and its peak memory in bytes. Raises ``ServerLost``."""
        reply = self._receive()
        return int(reply["exit"]), int(reply["peak_bytes"])

    def close(self) -> None:
        """End the server and whatever child it has; quiet if there is none."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._start()
        assert self._socket is not None
        return self._socket

    def _start(self) -> None:
        """A session of its own keeps a Ctrl-C at the terminal away from the running trial."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._process = self._launch(theirs)
        except OSError as e:
            ours.close()
            raise TrialServerError(f"the trial server cannot be started: {e}", hint="see disk space and limits") from e
        self._socket = ours
        self._await_ready()

    def _launch(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        env = {CACHE_ENV: str(compile_cache()), **without_secrets(os.environ), **SERVER_ENV}
        module = "autoresearch.training.server"
        command = [sys.executable, "-P", "-m", module, str(theirs.fileno()), str(os.getpid()), self.trainer]
        with os.fdopen(open_append(self.log), "ab") as log, theirs:
            return subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                start_new_session=True,
            )

    def _await_ready(self) -> None:
        assert self._socket is not None
        deadline = time.monotonic() + START_DEADLINE_S
        with contextlib.suppress(ServerLost):
            if select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
                ready = self._receive()
                if ready["threads"] == 1 and not ready["on_gpu"]:
                    return
                self.close()
                has = "a CUDA context" if ready["on_gpu"] else f"{ready['threads']} threads, not 1,"
                hint = "a package that torch or Megatron loads does more than load; try without it"
                raise TrialServerError(
                    f"the trial server has {has} after its imports: no trial can be forked", hint=hint
                )
        tail = self.log.read_text(errors="replace").strip().splitlines()[-1:] or ["no message"]
        self.close()
        raise TrialServerError(
            f"the trial server for trainer {self.trainer} did not start: {tail[0]}",
            hint=f"see {self.log}; is torch installed? (pip install 'autoresearch[run]')",
        )

    def _receive(self) -> dict[str, Any]:
        assert self._socket is not None
        data = self._socket.recv(MAX_REPLY_BYTES)
        if not data:
            self.close()
            raise ServerLost("the trial server is gone")
        reply: dict[str, Any] = json.loads(data)
        return reply
