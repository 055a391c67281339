"""The machine: memory and cores that a trial may use, its limits, boot id and UTC clock.

Limits of a cgroup (v2) count like the machine's own; cgroup v1 is not read.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import math
import os
import resource
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
PR_SET_PDEATHSIG = 1
# How Python and the thread pool of Rust libraries (tokenizers) say that no thread can be started.
NO_THREAD = ("start new thread", "ThreadPoolBuildError")
NO_MEMORY = ("failed to map segment from shared object",)  # the dynamic linker's words
# Limits of a process on its memory: the flag of ``ulimit``, and the setting of a unit.
MEMORY_LIMITS = {
    "RLIMIT_AS": (resource.RLIMIT_AS, "ulimit -v", "LimitAS="),
    "RLIMIT_DATA": (resource.RLIMIT_DATA, "ulimit -d", "LimitDATA="),
}


def reserve_bytes(total: int) -> int:
    """Return the bytes that trials always leave free: a twentieth of ``total``, at least 512 MiB, at most 4 GiB."""
    return min(4 << 30, max(512 << 20, total // 20))


def total_bytes() -> int:
    """Return the memory of the machine (MemTotal), or the tightest limit of this process's cgroups (v2), in bytes."""
    import psutil  # here and below: not imported by commands that only read

    limits = [_number(group / "memory.max") for group in own_cgroups()]
    return min([int(psutil.virtual_memory().total), *(limit for limit in limits if limit is not None)])


def available_bytes() -> int:
    """Return the bytes that can still be allocated: MemAvailable, or the rest of a tighter cgroup limit.

    With unified memory (GB10) this is the GPU's memory too, which NVML does not report there.
    """
    import psutil

    left = int(psutil.virtual_memory().available)
    for group in own_cgroups():
        limit, used = _number(group / "memory.max"), _number(group / "memory.current")
        if limit is not None and used is not None:
            left = min(left, limit - used + _reclaimable(group))
    return max(0, left)


def spare_bytes() -> int:
    """Return the bytes that a trial may use: the available memory without the reserve, or a limit of each process."""
    limits = [limit for kind, _, _ in MEMORY_LIMITS.values() if (limit := _limit(kind)) is not None]
    return min([max(0, available_bytes() - reserve_bytes(total_bytes())), *limits])


def address_space_left() -> int | None:
    """Return the bytes that this process may still map (RLIMIT_AS, RLIMIT_DATA); ``None`` without such a limit."""
    sizes = Path("/proc/self/statm").read_text().split()
    pages = {resource.RLIMIT_AS: int(sizes[0]), resource.RLIMIT_DATA: int(sizes[5])}
    limits = {kind: limit for kind in pages if (limit := _limit(kind)) is not None}
    return min((limit - pages[kind] * resource.getpagesize() for kind, limit in limits.items()), default=None)


def usable_cpus() -> int:
    """Return how many cores this process may use: its affinity, or a tighter cgroup quota (v2); at least 1."""
    cores = len(os.sched_getaffinity(0))
    for group in own_cgroups():
        try:
            quota, period = (group / "cpu.max").read_text().split()
        except (OSError, ValueError):
            continue
        if quota.isdigit():
            cores = min(cores, max(1, math.ceil(int(quota) / int(period))))
    return cores


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process in bytes, or 0 if it has ended."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def own_cgroups() -> list[Path]:
    """This process's cgroup (v2) and its ancestors: the tightest of their limits binds."""
    own = own_cgroup_path()
    if own is None:
        return []
    group = CGROUP / own.lstrip("/")
    return [p for p in (group, *group.parents) if p.is_relative_to(CGROUP)]


def own_cgroup_path(file: Path = OWN_CGROUP) -> str | None:
    """This process's cgroup (v2), for example "/system.slice/autoresearch.service"; ``None`` without one."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    return next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)


def _reclaimable(group: Path) -> int:
    """Return the bytes of the group's page cache that the kernel frees on demand."""
    try:
        lines = (group / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def boot_id() -> str:
    """Return an id that changes with every boot; it distinguishes a lost machine from a lost process."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def utc() -> str:
    """Return the current time in UTC, in the format of the records."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def explain_os_error(error: OSError) -> tuple[str, str]:
    """What a failed system call means, with the limit that it met and the file that it named; and what to try."""
    match error.errno:
        case errno.EMFILE:
            what = (
                f"this process may open {_soft_limit(resource.RLIMIT_NOFILE)} files (RLIMIT_NOFILE), which are all open"
            )
            return what, "ulimit -n 1024, or LimitNOFILE= of the unit"
        case errno.ENFILE:
            return "the machine can open no more files", "sysctl fs.file-max shows the limit; end other programs"
        case errno.EAGAIN:
            limit = _soft_limit(resource.RLIMIT_NPROC)
            what = f"no further process or thread can be started: this user may have {limit} of them (RLIMIT_NPROC)"
            return what, "end other programs of this user, ulimit -u, or TasksMax= and LimitNPROC= of the unit"
        case errno.ENOMEM:
            return _explain_no_memory()
        case errno.EFBIG:
            limit = _soft_limit(resource.RLIMIT_FSIZE)
            what = f"a file of this process may have {limit} bytes (RLIMIT_FSIZE){_named(error)}"
            return what, "ulimit -f unlimited, or LimitFSIZE= of the unit; a file system may have a limit of its own"
        case errno.ENOSPC | errno.EDQUOT:
            what = f"the disk or its quota is full{_named(error)}"
            return what, "free some space (df -h shows which file system is full)"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            hint = "see the owner and the permissions of the file and its folders, and as which user this runs"
            return f"{error.strerror}{_named(error)}", hint
    text = f"{error.strerror or error}{_named(error)}"
    return text, "see the system log (journalctl -k) if the file is as it should be"


def _explain_no_memory() -> tuple[str, str]:
    """A limit of this process, where it has one: it is met long before the machine's memory is used up."""
    set_ = {name: flags for name, (kind, *flags) in MEMORY_LIMITS.items() if _limit(kind) is not None}
    if not set_:
        return "the machine has no memory left", "end other programs, or see limits of the cgroup (MemoryMax=)"
    limits = " and ".join(f"{_soft_limit(MEMORY_LIMITS[name][0])} bytes ({name})" for name in set_)
    flags = ", ".join(f"{ulimit} unlimited" for ulimit, _ in set_.values())
    settings = " and ".join(setting for _, setting in set_.values())
    return f"no memory is left: this process may use {limits}", f"{flags}, or {settings} of the unit"


def explain_kill() -> str:
    """What may have sent SIGKILL, as seen from a process with the same limits as the one that was killed."""
    seconds = _limit(resource.RLIMIT_CPU)
    cpu = (
        "" if seconds is None else f"; the kernel also sends it after {seconds:,} s of CPU time: RLIMIT_CPU, ulimit -t"
    )
    return f"the kernel's OOM killer uses SIGKILL{cpu}"


def explain_start_failure(error: OSError | RuntimeError | MemoryError) -> tuple[str, str]:
    """As ``explain_os_error``, also for a thread that cannot be started, which is a ``RuntimeError``."""
    if isinstance(error, OSError):
        return explain_os_error(error)
    if (number := limit_named_in(error)) is None:
        raise error
    return explain_os_error(OSError(number, str(error)))


def limit_named_in(error: BaseException) -> int | None:
    """The errno of a limit of the system that a library's error names as text, or ``None``."""
    text = str(error)
    if any(words in text for words in NO_THREAD):
        return errno.EAGAIN
    if isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY):
        return errno.ENOMEM
    return next((n for n in (errno.EMFILE, errno.ENFILE, errno.ENOMEM) if os.strerror(n) in text), None)


def _named(error: OSError) -> str:
    return f": {error.filename}" if error.filename is not None else ""


def _soft_limit(kind: int) -> str:
    soft = _limit(kind)
    return "any number" if soft is None else f"{soft:,}"


def _limit(kind: int) -> int | None:
    """The limit that holds for this process, in the kernel's unit; ``None`` where there is none."""
    soft = resource.getrlimit(kind)[0]
    return None if soft == resource.RLIM_INFINITY else soft


@contextlib.contextmanager
def without_gc() -> Iterator[None]:
    """Disable garbage collection: reading 10,000 iterations frees nothing and takes half the time without it."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def die_with_parent(parent: int) -> None:
    """Have the kernel send this process SIGKILL when ``parent`` ends; exit now if it has ended already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
