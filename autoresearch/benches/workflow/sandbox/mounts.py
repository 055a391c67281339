"""A mount namespace in which all but the workspace is read-only: Landlock does not restrict chmod, chown and times.

Source: mount_setattr(2), user_namespaces(7). Standard library only. Call it in a process with one thread.
"""

from __future__ import annotations

import ctypes
import os
import struct

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 1 << 18
MOUNT_SETATTR = 442  # the same number on every architecture
MOUNT_ATTR_RDONLY, AT_RECURSIVE, AT_FDCWD = 1, 0x8000, -100


def make_read_only_but(workspace: str) -> None:
    """Give this process its own view of the files. Raises ``OSError`` where the machine does not allow it.

    Root needs CAP_SYS_ADMIN; another user needs user namespaces, which some distributions switch off.
    """
    uid, gid = os.getuid(), os.getgid()
    _checked("unshare", CLONE_NEWNS if uid == 0 else CLONE_NEWNS | CLONE_NEWUSER)
    if uid != 0:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
    _checked("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    path = os.fsencode(workspace)
    _checked("mount", path, path, None, MS_BIND, None)
    _set_attributes(b"/", AT_RECURSIVE, struct.pack("QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0))
    _set_attributes(path, 0, struct.pack("QQQQ", 0, MOUNT_ATTR_RDONLY, 0, 0))


def _set_attributes(path: bytes, flags: int, attributes: bytes) -> None:
    number, size = ctypes.c_long(MOUNT_SETATTR), ctypes.c_long(len(attributes))
    _checked("syscall", number, ctypes.c_long(AT_FDCWD), path, ctypes.c_long(flags), attributes, size)


def _checked(function: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(
            code, f"no read-only view of the files, for which root needs CAP_SYS_ADMIN: {function}: {os.strerror(code)}"
        )


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
