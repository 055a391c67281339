"""All processes of one trial: found by descent, by session and by a variable, so that one that detached is found too.

A process that detaches (forks twice, begins a session of its own) keeps its environment, and with it the variable
``AUTORESEARCH_TRIAL``. Not found is one that detaches and clears its environment, and one of another user.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
MARKER = "AUTORESEARCH_TRIAL"
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
KILL_ROUNDS = 200
ROUND_S = 0.005  # between two rounds; a second in all


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc/PID/stat."""

    pid: int
    parent: int
    session: int


def members(root: int, marker: str) -> list[int]:
    """The living processes of a trial: ``root``, its descendants, its session, and all that carry ``marker``."""
    known = list(_processes())
    found = {root}
    grew = True
    while grew:
        more = {p.pid for p in known if p.pid not in found and (p.parent in found or p.session == root)}
        found, grew = found | more, bool(more)
    own = os.getpid()
    carriers = {p.pid for p in known if p.pid not in found and p.pid != own and carries(p.pid, marker)}
    alive = {p.pid for p in known}
    return sorted((found | carriers) & alive)


def marked(prefix: str) -> list[int]:
    """The living processes whose marker begins with ``prefix``: left by a daemon that was killed."""
    own = os.getpid()
    return [p.pid for p in _processes() if p.pid != own and carries(p.pid, prefix, whole=False)]


def kill_all(root: int, marker: str) -> int:
    """Kill every process of a trial, until none is left or a second is over; how many were found beside ``root``."""
    killed: set[int] = set()
    for _ in range(KILL_ROUNDS):
        left = members(root, marker)
        for pid in left:
            _kill(pid)
        killed.update(left)
        if not left:
            break
        time.sleep(ROUND_S)
    return len(killed - {root})


def kill_marked(prefix: str) -> int:
    """Kill every process whose marker begins with ``prefix``; how many there were."""
    killed: set[int] = set()
    for _ in range(KILL_ROUNDS):
        left = marked(prefix)
        for pid in left:
            _kill(pid)
        killed.update(left)
        if not left:
            break
        time.sleep(ROUND_S)
    return len(killed)


def held_bytes(pids: list[int]) -> int:
    """The memory of these processes: resident, and of several the share of each in what they have in common."""
    if len(pids) == 1:
        return _resident(pids[0])
    return sum(_proportional(pid) for pid in pids)


def carries(pid: int, marker: str, *, whole: bool = True) -> bool:
    """Whether the environment of a process has this marker, as it was when its program started."""
    entry = f"{MARKER}={marker}".encode()
    try:
        with open(PROC / str(pid) / "environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return False
    return entry in variables if whole else any(v.startswith(entry) for v in variables)


def _processes() -> Iterator[Process]:
    """Every process that has not ended."""
    for name in os.listdir(PROC):
        if not name.isdecimal():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            with open(PROC / name / "stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            if fields[0] not in (b"Z", b"X"):
                yield Process(int(name), int(fields[1]), int(fields[3]))


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError), open(PROC / str(pid) / "statm", "rb") as file:
        return int(file.read().split()[1]) * PAGE_BYTES
    return 0


def _proportional(pid: int) -> int:
    """The process's proportional share (Pss); resident memory where the kernel does not give it."""
    with contextlib.suppress(OSError, ValueError), open(PROC / str(pid) / "smaps_rollup", "rb") as file:
        for line in file:
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return _resident(pid)
