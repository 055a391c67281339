"""A container on a large machine: its own limit binds, and so does the reserve made from it."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch import machine
from autoresearch.machine import (
    address_space_left,
    available_bytes,
    explain_kill,
    explain_os_error,
    limit_named_in,
    own_cgroup_path,
    reserve_bytes,
    resident_bytes,
    spare_bytes,
    total_bytes,
    usable_cpus,
)

GIB = 1 << 30


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cgroup file system with one group, and this process in it."""
    group = tmp_path / "box"
    group.mkdir()
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(machine, "own_cgroups", lambda: [group, tmp_path])
    return group


def write(group: Path, **files: str) -> None:
    for name, text in files.items():
        (group / name.replace("_", ".")).write_text(text)


def test_a_limit_of_the_container_is_its_memory(container: Path) -> None:
    write(container, memory_max=f"{GIB}\n", memory_current=str(GIB // 4), memory_stat="anon 5\ninactive_file 1048576\n")
    assert total_bytes() == GIB
    assert available_bytes() == GIB - GIB // 4 + (1 << 20)
    assert reserve_bytes(total_bytes()) == 512 << 20
    assert spare_bytes() == available_bytes() - (512 << 20)


def test_no_limit_is_the_machine(container: Path) -> None:
    without = total_bytes()
    write(container, memory_max="max\n", memory_current="5")
    assert total_bytes() == without > GIB


def test_a_quota_of_cores_is_rounded_up(container: Path) -> None:
    write(container, cpu_max="150000 100000\n")
    assert usable_cpus() == min(2, usable_cpus())
    write(container, cpu_max="10000 100000\n")
    assert usable_cpus() == 1
    write(container, cpu_max="max 100000\n")
    assert usable_cpus() >= 1


@pytest.mark.parametrize(("total", "reserve"), [(2 * GIB, 512 << 20), (64 * GIB, 64 * GIB // 20), (512 * GIB, 4 * GIB)])
def test_the_reserve_is_a_twentieth_within_bounds(total: int, reserve: int) -> None:
    assert reserve_bytes(total) == reserve


def test_a_process_that_is_gone_holds_nothing() -> None:
    assert resident_bytes(2**22 - 1) == 0


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("0::/system.slice/autoresearch.service\n", "/system.slice/autoresearch.service"),
        ("1:name=systemd:/\n0::/user.slice/session-2.scope\n", "/user.slice/session-2.scope"),
        ("0::/\n", "/"),
        ("2:memory:/docker/1\n1:name=systemd:/docker/1\n", None),
        ("", None),
    ],
)
def test_the_cgroup_of_version_2_is_read_from_the_file_of_the_process(
    tmp_path: Path, text: str, path: str | None
) -> None:
    (tmp_path / "cgroup").write_text(text)
    assert own_cgroup_path(tmp_path / "cgroup") == path


def test_without_proc_there_is_no_cgroup(tmp_path: Path) -> None:
    assert own_cgroup_path(tmp_path / "cgroup") is None


@pytest.mark.parametrize(
    ("number", "what", "hint"),
    [
        (errno.EMFILE, "RLIMIT_NOFILE", "ulimit -n"),
        (errno.ENFILE, "no more files", "fs.file-max"),
        (errno.EAGAIN, "RLIMIT_NPROC", "ulimit -u"),
        (errno.ENOMEM, "no memory", "end other programs"),
        (errno.ENOSPC, "full: /some/file", "df -h"),
        (errno.EDQUOT, "quota", "df -h"),
        (errno.EACCES, "/some/file", "permissions"),
        (errno.EROFS, "Read-only file system: /some/file", "permissions"),
        (errno.EFBIG, "RLIMIT_FSIZE): /some/file", "ulimit -f"),
        (errno.EIO, "/some/file", "journalctl"),
    ],
)
def test_a_failed_system_call_is_explained(number: int, what: str, hint: str) -> None:
    found = explain_os_error(OSError(number, os.strerror(number), "/some/file"))
    assert what in found[0]
    assert hint in found[1]


def test_an_error_without_a_number_is_shown_as_it_is() -> None:
    assert explain_os_error(OSError("cut off"))[0] == "cut off"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("[enforce fail at device.cc:186] rv != -1. Too many open files", errno.EMFILE),
        ("libtorch_cpu.so: cannot open shared object file: Too many open files", errno.EMFILE),
        ("can't start new thread", errno.EAGAIN),
        ("Cannot allocate memory", errno.ENOMEM),
        ("libtorch_cpu.so: failed to map segment from shared object", errno.ENOMEM),
        ("no such knob", None),
    ],
)
def test_a_limit_is_recognised_in_the_text_of_a_library(text, number):
    assert limit_named_in(RuntimeError(text)) == number


def test_a_failed_allocation_is_a_limit_too() -> None:
    assert limit_named_in(MemoryError("Unable to allocate 2.00 GiB for an array")) == errno.ENOMEM


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Set a limit as this process sees it; a real one would hold for the whole test process."""
    limits: dict[int, int] = {}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limits.get(kind, resource.RLIM_INFINITY),) * 2)
    return limits.__setitem__


def test_no_memory_names_the_limits_of_this_process(limit: Callable[[int, int], None]) -> None:
    error = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    assert "the machine has no memory left" in explain_os_error(error)[0]
    limit(resource.RLIMIT_AS, 300_000 << 10)
    what, hint = explain_os_error(error)
    assert "this process may use 307,200,000 bytes (RLIMIT_AS)" in what
    assert "machine" not in what
    assert hint == "ulimit -v unlimited, or LimitAS= of the unit"
    limit(resource.RLIMIT_DATA, 1 << 20)
    what, hint = explain_os_error(error)
    assert "307,200,000 bytes (RLIMIT_AS) and 1,048,576 bytes (RLIMIT_DATA)" in what
    assert "ulimit -d" in hint


def test_a_trial_may_use_no_more_than_a_limit_allows(limit: Callable[[int, int], None]) -> None:
    assert spare_bytes() > 1 << 20
    limit(resource.RLIMIT_DATA, 1 << 20)
    assert spare_bytes() == 1 << 20


def test_the_address_space_that_is_left(limit: Callable[[int, int], None]) -> None:
    assert address_space_left() is None
    limit(resource.RLIMIT_AS, 1 << 50)
    left = address_space_left()
    assert left is not None
    assert 0 < left < 1 << 50
    limit(resource.RLIMIT_DATA, 0)
    assert (address_space_left() or 0) < 0


def test_a_kill_may_be_the_limit_of_cpu_time(limit: Callable[[int, int], None]) -> None:
    assert "RLIMIT_CPU" not in explain_kill()
    limit(resource.RLIMIT_CPU, 3600)
    assert "after 3,600 s of CPU time: RLIMIT_CPU" in explain_kill()
