"""The trial server: a process that has imported the trainer and forks one child per request.

``python -m autoresearch.training.server FD PARENT_PID MODULE...`` imports the modules and communicates with the daemon
over a SEQPACKET socket. It has no CUDA context and one thread, so forking it is cheap and safe. The server dies with
the daemon and a trial with the server (PR_SET_PDEATHSIG), however they end. The standard library's forkserver passes
each child the write end of the pipe by which it would notice that, so its trials would outlive a daemon that was
SIGKILLed (docs/decisions.md).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import importlib
import json
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn, assert_never

from autoresearch.machine import die_with_parent
from autoresearch.trials.messages import Message
from autoresearch.trials.requests import (
    REQUEST,
    CompileTimesRequest,
    MatmulPeakRequest,
    ProbeRequest,
    Request,
    SpeedRequest,
    TrialRequest,
)

MAX_REQUEST_BYTES = 1 << 16
PIPES = 3  # that come with a request
# Slurm sends SIGTERM, and SIGUSR2 ahead of a time limit, to every process of a job, whose own process names the cause.
IGNORED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
CUDA_ERROR_NOT_INITIALIZED = 3  # of the driver API
WORKER = "autoresearch.training.worker"  # imports torch: only once this process ends with its parent


def main() -> None:
    fd, parent, preload = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    die_with_parent(parent)
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # in its trials too: the daemon handles these, and ends them by SIGKILL
    daemon = socket.socket(fileno=fd)
    gc.disable()  # what an import makes stays; looking for garbage in it takes a tenth of the time of importing torch
    for module in (WORKER, *preload):
        importlib.import_module(module)
    gc.enable()
    gc.collect()
    gc.freeze()  # so that a child's garbage collector does not write to, and thereby copy, these pages
    threads = thread_names()
    if len(threads) > 1 or has_cuda_context():  # for the log: what makes this process unfit to be forked
        print(
            f"after importing {' '.join(preload)}: CUDA context {has_cuda_context()}, threads {', '.join(threads)}",
            flush=True,
        )
    _reply(daemon, {"ready": os.getpid(), "threads": len(threads), "on_gpu": has_cuda_context()})
    while True:
        data, fds, _flags, _address = socket.recv_fds(daemon, MAX_REQUEST_BYTES, PIPES)
        if not data:
            return  # the daemon closed its end
        if len(fds) < PIPES:  # this process may open no more files
            close_all(fds)
            _reply(daemon, {"errno": errno.EMFILE})
        else:
            serve(daemon, REQUEST.validate_json(data), *fds)


def thread_names() -> list[str]:
    """The kernel's names of this process's threads."""
    return [path.joinpath("comm").read_text().strip() for path in sorted(Path("/proc/self/task").iterdir())]


def has_cuda_context() -> bool:
    """Whether the CUDA driver is initialised in this process (cuInit), after which no fork of it can use the GPU.

    An open /dev/nvidia-uvm does not show that: NVML, which counts the GPUs, opens it too (driver 580 on an H100).
    """
    if "libcuda.so" not in Path("/proc/self/maps").read_text(errors="replace"):
        return False
    try:
        get_current = ctypes.CDLL("libcuda.so.1").cuCtxGetCurrent
    except (OSError, AttributeError):
        return True  # an unknown driver: do not rely on it
    return bool(get_current(ctypes.byref(ctypes.c_void_p())) != CUDA_ERROR_NOT_INITIALIZED)


def serve(daemon: socket.socket, request: Request, result: int, stderr: int, suspend_fd: int) -> None:
    """Fork one child for ``request``; report its pid and, when it has ended, its exit code to the daemon.

    Where no process can be forked, the error's number is reported instead.
    """
    server = os.getpid()
    try:
        pid = os.fork()
    except OSError as e:
        close_all((result, stderr, suspend_fd))
        _reply(daemon, {"errno": e.errno})
        return
    if pid == 0:
        daemon.close()
        child(server, request, result, stderr, suspend_fd)
    close_all((result, stderr, suspend_fd))
    _reply(daemon, {"pid": pid})
    _pid, status, usage = os.wait4(pid, 0)
    _reply(daemon, {"exit": os.waitstatus_to_exitcode(status), "peak_bytes": usage.ru_maxrss * 1024})


def close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


def child(server: int, request: Request, result: int, stderr: int, suspend_fd: int) -> NoReturn:
    """The trial's process: limited, with output to its two pipes only, ended without torch's slow teardown."""
    code = 1
    try:
        die_with_parent(server)
        os.setpgid(0, 0)  # so that the processes it starts can be killed with it
        os.dup2(stderr, 1)
        os.dup2(stderr, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        protect_host(data_limit_of(request))
        with os.fdopen(result, "w", encoding="ascii") as pipe:
            importlib.import_module(WORKER).handle(request, lambda message: _send(pipe, message), suspend_fd)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def data_limit_of(request: Request) -> int | None:
    """The RLIMIT_DATA that a request asks for, in bytes."""
    match request:
        case TrialRequest() | SpeedRequest() | MatmulPeakRequest():
            return request.data_limit_bytes
        case ProbeRequest() | CompileTimesRequest():
            return None
        case _:
            assert_never(request)


def protect_host(limit: int | None) -> None:
    """Make this process the OOM killer's first choice, and limit its data where that is safe.

    The limit is on private writable memory (RLIMIT_DATA) and set for CPU trials only: CUDA reserves far more address
    space than it uses, and a limit on that would break it. There the daemon watches MemAvailable instead.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limit is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)  # a limit that this process was started with stays
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _send(pipe: Any, message: Message) -> None:
    pipe.write(json.dumps(message) + "\n")
    pipe.flush()


def _reply(daemon: socket.socket, message: dict[str, Any]) -> None:
    daemon.send(json.dumps(message).encode())


if __name__ == "__main__":
    main()
