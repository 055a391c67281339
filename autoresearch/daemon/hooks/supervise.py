"""Run one hook, limited in time, processes and output, and log how it ended. A script of its own:

    python -I -S supervise.py TIMEOUT_S EVENT COMMAND...

Its stdin is the event and becomes the stdin of the hook; its stdout is the log. It may outlive the daemon that started
it, at most by the time limit, and when it ends no process that the hook started is left.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

TIMED_OUT, NOT_STARTED, TOO_LOUD = 124, 127, 125
KEPT_BYTES = 16 << 10  # of its output, in the log
READ_BYTES = 1 << 20  # of its output; a hook that writes more is killed
MORE_TASKS = 512  # processes and threads of this user, beyond the present ones
POLL_S = 0.05
PR_SET_CHILD_SUBREAPER = 36


def main(words: list[str]) -> int:
    """Run the hook; the exit code is the hook's own, or one of the three above."""
    timeout_s, event, command = float(words[0]), words[1], words[2:]
    _lower_priority()
    began = time.monotonic()
    code, output = run(command, began + timeout_s)
    endings = {TIMED_OUT: f"ended after its {timeout_s:g} s", TOO_LOUD: f"ended after {READ_BYTES} bytes of output"}
    end = endings.get(code, f"exit code {code}")
    lines = "".join(f"  {line}\n" for line in readable(output).split("\n") if line)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    took_s = time.monotonic() - began
    os.write(1, f"{stamp} {event}: {readable(shlex.join(command).encode())}: {end}, {took_s:.1f} s\n{lines}".encode())
    return code


def run(command: list[str], deadline: float) -> tuple[int, bytes]:
    """Run the hook and wait for every process that it started, until the deadline; returns exit code and output."""
    reading, writing = os.pipe()
    try:
        hook = subprocess.Popen(command, stdout=writing, stderr=writing, start_new_session=True)
    except OSError as e:
        return NOT_STARTED, f"cannot start {command[0]}: {e.strerror}".encode()
    finally:
        os.close(writing)
    output, read, code = b"", 0, None
    while code is None or _any_child():
        if time.monotonic() >= deadline or read > READ_BYTES:
            code = TIMED_OUT if read <= READ_BYTES else TOO_LOUD
            break
        if not select.select([reading] if reading >= 0 else [], [], [], POLL_S)[0]:
            code = hook.poll() if code is None else code
            continue
        if not (more := os.read(reading, 1 << 16)):  # every writer has closed it
            os.close(reading)
            reading = -1
        read += len(more)
        output = (output + more)[:KEPT_BYTES]
    _end_all(hook.pid)
    return code if code >= 0 else 128 - code, output


def readable(data: bytes) -> str:
    """``data`` as text in which unprintable characters are escaped."""
    text = data.decode("utf-8", "replace")
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def _lower_priority() -> None:
    """Give the trial precedence in CPU time, memory and processes; become the parent of the hook's orphans."""
    with contextlib.suppress(OSError):
        os.nice(10)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    with contextlib.suppress(OSError, ValueError):  # as root the kernel does not enforce it
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        wanted = sum(_tasks()) + MORE_TASKS
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NPROC, (soft, soft))
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _tasks() -> Iterator[int]:
    """Threads of each process of this user."""
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdecimal() and os.stat(f"/proc/{name}").st_uid == os.getuid():
                yield len(os.listdir(f"/proc/{name}/task"))


def _any_child() -> bool:
    """Whether a process of the hook is left; ended ones are reaped."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _end_all(group: int) -> None:
    """Kill the hook's process group, then the processes that left it (orphans are our children), until none is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    while _any_child():
        for pid in _descendants():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_S / 5)


def _descendants() -> list[int]:
    """Every descendant of this process, parents before children."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if name.isdecimal():
                with open(f"/proc/{name}/stat", "rb") as file:
                    parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
