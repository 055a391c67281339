"""The supervisor of one command, in a process of its own: confines it, waits, and ends all that it started.

Run by ``shell.py`` with the standard library alone. It ends its command when its stdin closes, so also when the bench
was killed. As the subreaper it inherits every process that the command leaves, and kills it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import struct
import sys
import time
from typing import Any

from autoresearch.benches.workflow.sandbox import landlock, mounts, seccomp

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
_CAPSET = {"x86_64": 126, "aarch64": 91}
_LOOK_EVERY_S = 0.2  # at the number of processes and the free space
MIN_FREE_BYTES = 256 << 20  # of the disk of the workspace
READABLE = ("/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


def main() -> None:
    """Run the command of the specification in argv, and write how it ended to the descriptor it names."""
    spec: dict[str, Any] = json.loads(sys.argv[1])
    report = spec["report_fd"]
    os.set_inheritable(report, False)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    errors_read, errors_write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(errors_read)
            _become(spec, libc)
        except BaseException as e:
            os.write(errors_write, str(e).encode()[:1000])
        finally:
            os._exit(126)
    os.close(errors_write)
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    problem = _read_all(errors_read)
    ended = _supervise(child, spec["workspace"], spec["timeout_s"], spec["processes"])
    _kill_all(child)
    os.write(report, json.dumps({**ended, "problem": problem}).encode())


def _become(spec: dict[str, Any], libc: ctypes.CDLL) -> None:
    """Confine this process and become the shell."""
    os.setpgid(0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(1, 2)
    may_change_metadata = _isolate(spec["workspace"])
    os.chdir(spec["workspace"])
    for name, value in spec["rlimits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError("PR_SET_NO_NEW_PRIVS failed")
    _drop_capabilities(libc)
    paths = [(path, landlock.READ_ONLY) for path in spec["readable"]]
    paths += [(path, landlock.DEVICE) for path in DEVICES]
    landlock.restrict([*paths, (spec["workspace"], landlock.WORKSPACE)], spec["port"])
    seccomp.install(metadata=may_change_metadata)
    os.execve("/bin/sh", ["sh", "-c", spec["command"]], spec["env"])


def _isolate(workspace: str) -> bool:
    """Make all other files read-only. Where that fails, an ordinary user may not change metadata by path."""
    try:
        mounts.make_read_only_but(workspace)
    except OSError:
        if os.getuid() == 0:
            raise  # root owns what it can open, so that also chmod of an open file would reach outside
        return False
    return True


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Root without capabilities is an ordinary user who owns root's files; no_new_privs keeps it so."""
    header = struct.pack("Ii", 0x20080522, 0)
    number = _CAPSET[os.uname().machine]
    if libc.syscall(ctypes.c_long(number), header, bytes(24)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"capset: {os.strerror(code)}")


def _supervise(child: int, workspace: str, timeout_s: float, processes: int) -> dict[str, Any]:
    """Wait for the end of the command, of the bench or of the time, for too many processes or for a full disk."""
    deadline = time.monotonic() + timeout_s
    pidfd = os.pidfd_open(child)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(0, select.POLLIN | select.POLLHUP)
    why = None
    while why is None:
        left = deadline - time.monotonic()
        ready = {fd for fd, _ in poll.poll(max(0.0, min(left, _LOOK_EVERY_S)) * 1000)}
        if pidfd in ready:
            break
        if 0 in ready:
            why = "cancelled"
        elif left <= 0:
            why = "timeout"
        elif len(_descendants(os.getpid())) > processes:
            why = "too many processes"
        elif (disk := os.statvfs(workspace)).f_bavail * disk.f_frsize < MIN_FREE_BYTES:
            why = "the disk is nearly full"
    if why is not None:
        _kill_group(child)
    status = os.waitpid(child, 0)[1]
    os.close(pidfd)
    return {"exit_code": None if why else os.waitstatus_to_exitcode(status), "ended_by": why}


def _kill_group(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # at once, whatever is being forked in it


def _kill_all(child: int) -> None:
    """Kill and reap until this process has no child: orphans become its children."""
    _kill_group(child)
    with contextlib.suppress(ChildProcessError):
        while True:
            for pid in _descendants(os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _descendants(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as file:
                parents.setdefault(int(file.read().rpartition(b")")[2].split()[1]), []).append(int(name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def _read_all(fd: int) -> str:
    data = b""
    while more := os.read(fd, 4096):
        data += more
    os.close(fd)
    return data.decode(errors="replace")
