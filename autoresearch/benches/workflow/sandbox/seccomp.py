"""A seccomp filter for what Landlock does not restrict: other sockets than TCP, io_uring, ptrace, signals to everyone.

Source: the kernel's Documentation/userspace-api/seccomp_filter.rst. Standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
from typing import NamedTuple

PR_SET_SECCOMP, MODE_FILTER = 22, 2
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF: ld w abs, jeq, jge, jset, ret
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data; both machines are little-endian
_X32 = 0x40000000
_TYPE_MASK = 0xF  # of a socket's type, below SOCK_CLOEXEC and SOCK_NONBLOCK
_MSG_FASTOPEN = 0x20000000  # connects without the check of connect()
_IO_URING_SETUP = 425


class Numbers(NamedTuple):
    """System call numbers of a machine. ``metadata``: those that change mode, owner or attributes by a path."""

    audit_arch: int
    socket: int
    kill: int
    ptrace: int
    sendto: int
    sendmsg: int
    sendmmsg: int
    utimensat: int
    metadata: tuple[int, ...]


# chmod, chown, lchown, setxattr, lsetxattr, removexattr, lremovexattr, utime, utimes, fchownat, futimesat, fchmodat,
# fchmodat2, setxattrat, removexattrat, file_setattr; AArch64 does not have those without "at".
_X86_METADATA = (90, 92, 94, 188, 189, 197, 198, 132, 235, 260, 261, 268, 452, 463, 466, 469)
_ARM_METADATA = (5, 6, 14, 15, 53, 54, 452, 463, 466, 469)
MACHINES = {
    "x86_64": Numbers(0xC000003E, 41, 62, 101, 44, 46, 307, 280, _X86_METADATA),
    "aarch64": Numbers(0xC00000B7, 198, 129, 117, 206, 211, 269, 88, _ARM_METADATA),
}

Instruction = tuple[int, int, int, int]


def supported() -> bool:
    """Whether the numbers of this machine are known."""
    return platform.machine() in MACHINES


def install(*, metadata: bool) -> None:
    """Restrict this process and its children. Needs PR_SET_NO_NEW_PRIVS; raises ``OSError``.

    Not ``metadata``: mode, owner, times and attributes of a file cannot be changed by its path, only of an open file.
    """
    program = b"".join(struct.pack("HBBI", *line) for line in filter_for(MACHINES[platform.machine()], metadata))
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_SECCOMP, MODE_FILTER, fprog, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"seccomp: {os.strerror(code)}")


def filter_for(numbers: Numbers, metadata: bool) -> list[Instruction]:
    """The program. Each part ends in a verdict or falls through to the next; all that is left is allowed."""
    return [
        *_load(_ARCH),
        *_unless(_EQUAL, numbers.audit_arch, _KILL),
        *_load(_NUMBER),
        *_when(_AT_LEAST, _X32, _refused(errno.ENOSYS)),
        *_when(_EQUAL, _IO_URING_SETUP, _refused(errno.ENOSYS)),
        *_when(_EQUAL, numbers.ptrace, _refused(errno.EPERM)),
        *([] if metadata else _without_metadata(numbers)),
        *_of(numbers.kill, [*_argument(0), *_when(_EQUAL, 0xFFFFFFFF, _refused(errno.EPERM))]),
        *_of(numbers.sendto, [*_argument(3), *_when(_ANY_BIT, _MSG_FASTOPEN, _refused(errno.EOPNOTSUPP))]),
        *_of(numbers.sendmsg, [*_argument(2), *_when(_ANY_BIT, _MSG_FASTOPEN, _refused(errno.EOPNOTSUPP))]),
        *_of(numbers.sendmmsg, [*_argument(3), *_when(_ANY_BIT, _MSG_FASTOPEN, _refused(errno.EOPNOTSUPP))]),
        *_of(numbers.socket, _only_tcp()),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _without_metadata(numbers: Numbers) -> list[Instruction]:
    """No change by a path; utimensat without one is of an open file."""
    denied = [line for number in numbers.metadata for line in _when(_EQUAL, number, _refused(errno.EPERM))]
    no_path = [*_argument(1), (_EQUAL, 0, 2, 0), *_load(_ARGUMENTS + 12), (_EQUAL, 1, 0, 0)]
    return [*denied, *_of(numbers.utimensat, [*no_path, (_RETURN, 0, 0, _refused(errno.EPERM))])]


def _only_tcp() -> list[Instruction]:
    denied = _refused(errno.EAFNOSUPPORT)
    return [
        *_argument(0),
        (_EQUAL, 2, 0, socket.AF_INET),
        (_EQUAL, 1, 0, socket.AF_INET6),
        (_RETURN, 0, 0, denied),
        *_argument(1),
        (0x54, 0, 0, _TYPE_MASK),  # and
        *_unless(_EQUAL, socket.SOCK_STREAM, denied),
        *_argument(2),
        (_EQUAL, 2, 0, 0),
        (_EQUAL, 1, 0, socket.IPPROTO_TCP),  # not MPTCP, not SCTP
        (_RETURN, 0, 0, denied),
    ]


def _of(number: int, body: list[Instruction]) -> list[Instruction]:
    """``body`` for one system call; then allowed. The number must be loaded, and stays so for the other ones."""
    return [(_EQUAL, 0, len(body) + 1, number), *body, (_RETURN, 0, 0, _ALLOW)]


def _load(offset: int) -> list[Instruction]:
    return [(_LOAD, 0, 0, offset)]


def _argument(i: int) -> list[Instruction]:
    return _load(_ARGUMENTS + 8 * i)  # its low 32 bits: what the kernel reads of an int


def _when(test: int, value: int, verdict: int) -> list[Instruction]:
    return [(test, 0, 1, value), (_RETURN, 0, 0, verdict)]


def _unless(test: int, value: int, verdict: int) -> list[Instruction]:
    return [(test, 1, 0, value), (_RETURN, 0, 0, verdict)]


def _refused(code: int) -> int:
    return _ERRNO | code
