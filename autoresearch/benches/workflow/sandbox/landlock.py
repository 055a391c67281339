"""Landlock through ctypes: what a process may open and which TCP port it may connect to, for it and all its children.

Source: the kernel's Documentation/userspace-api/landlock.rst and include/uapi/linux/landlock.h. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same number on every architecture
NETWORK_ABI = 4  # TCP; Linux 6.7
SCOPE_ABI = 6  # signals and abstract sockets; Linux 6.12

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
MAKE_FIFO, MAKE_SYM, REFER, TRUNCATE = 1 << 10, 1 << 12, 1 << 13, 1 << 14
_ALL_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}  # by the ABI that added some
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_SCOPE_ABSTRACT_SOCKET, _SCOPE_SIGNAL = 1 << 0, 1 << 1

READ_ONLY = EXECUTE | READ_FILE | READ_DIR
DEVICE = READ_FILE | WRITE_FILE
WORKSPACE = (
    READ_ONLY | WRITE_FILE | TRUNCATE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_FIFO | MAKE_SYM | REFER
)
_OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
_RULE_PATH, _RULE_PORT = 1, 2


def abi() -> int:
    """The version of Landlock that this kernel offers; 0: none, or switched off."""
    if sys.platform != "linux":
        return 0
    return max(0, _call(CREATE_RULESET, None, 0, 1))


def restrict(paths: Iterable[tuple[str, int]], port: int | None) -> None:
    """Allow this process only ``paths`` with their rights, and TCP connections to ``port`` only.

    A path that does not exist is left out. Needs ``NETWORK_ABI``; raises ``OSError``. It cannot be undone.
    """
    version = abi()
    if version < NETWORK_ABI:
        raise OSError(f"Landlock ABI {version} cannot restrict TCP")
    handled = _ALL_FILES[max(v for v in _ALL_FILES if v <= version)]
    scoped = _SCOPE_ABSTRACT_SOCKET | _SCOPE_SIGNAL if version >= SCOPE_ABI else 0
    attributes = struct.pack("QQQ" if scoped else "QQ", *((handled, 3, scoped) if scoped else (handled, 3)))
    ruleset = _checked(CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path, rights in paths:
            _allow(ruleset, path, rights & handled)
        if port is not None:
            _checked(ADD_RULE, ruleset, _RULE_PORT, struct.pack("QQ", _CONNECT_TCP, port), 0)
        _checked(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not os.path.isdir(path):
            rights &= _OF_A_FILE
        _checked(ADD_RULE, ruleset, _RULE_PATH, struct.pack("=Qi", rights, fd), 0)
    finally:
        os.close(fd)


def _call(number: int, *arguments: int | bytes | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    wide = [a if a is None or isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
    return int(libc.syscall(ctypes.c_long(number), *wide))


def _checked(number: int, *arguments: int | bytes | None) -> int:
    result = _call(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock system call {number}: {os.strerror(code)}")
    return result
