"""Advice that is true on this machine: a command to type from any directory, and who may use a file."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import shlex
import stat
from pathlib import Path
from typing import Literal

from autoresearch.machine import explain_os_error

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EFBIG})
REFUSED = frozenset({errno.EACCES, errno.EPERM})
PLANTED = frozenset({errno.ELOOP, errno.EMLINK})  # a link, a pipe or a device in place of a file of ours
Deed = Literal["read", "write", "create", "remove"]
GROUP_BITS: dict[Deed, int] = {
    "read": stat.S_IRGRP,
    "write": stat.S_IWGRP,
    "create": stat.S_IWGRP | stat.S_IXGRP,
    "remove": stat.S_IWGRP | stat.S_IXGRP,
}


def command(*words: str | Path) -> str:
    """A command of autoresearch, quoted for a shell; paths are made absolute, so that it works from any directory."""
    return shlex.join(["autoresearch", *(str(w.absolute()) if isinstance(w, Path) else w for w in words)])


def explain(error: OSError, path: Path, deed: Deed) -> tuple[str, str]:
    """Why ``deed`` on ``path`` failed, with the limit of the system that it met, and what to try. Raises nothing."""
    if error.errno in LIMITS:
        return explain_os_error(error)
    return error.strerror or str(error), hint_after(error, path, deed)


def hint_after(error: OSError, path: Path, deed: Deed) -> str:
    """What to try after ``error`` in ``deed`` on ``path``. Raises nothing."""
    number = error.errno
    if number in NO_SPACE:
        return f"make room on the file system of {path} (df -h)"
    if number == errno.EROFS:
        return f"the file system of {path} is mounted read-only: mount it writable, or use another directory"
    if number in LIMITS:
        return explain_os_error(error)[1]
    if number in REFUSED:
        return _who_may(path, deed)
    if number in PLANTED:
        place = shlex.quote(str(path.absolute()))
        return f"another program or user has put it there; move it away: mv {place} {place}.moved"
    return f"see what is there and whether the disk works: ls -ld {shlex.quote(str(path))}"


def _who_may(path: Path, deed: Deed) -> str:
    """Who may do ``deed`` on ``path``: by its owner and group, or by those of the directory that decides it."""
    place = path.parent if deed in ("create", "remove") else path
    seen, info = _nearest(place)
    owner, group = _user(info.st_uid), _group(info.st_gid)
    about = f"{seen} belongs to {owner}:{group}, mode {stat.S_IMODE(info.st_mode):04o}"
    if deed == "remove" and info.st_mode & stat.S_ISVTX and os.access(seen, os.W_OK):
        file_owner = _owner_of(path)
        may = ", ".join(dict.fromkeys((file_owner, owner)))
        rm = f"sudo rm {shlex.quote(str(path.absolute()))}"
        return f"{path} belongs to {file_owner}, and its directory is sticky: only {may} and root may remove it: {rm}"
    bits = GROUP_BITS[deed] if seen == place else stat.S_IXGRP
    if info.st_mode & bits == bits and info.st_gid not in {os.getegid(), *os.getgroups()}:
        return f"{about}: members of the group {group} may: sudo usermod -aG {group} {_me()}, then log in again"
    return f"{about}: only {owner} and root may"


def _nearest(path: Path) -> tuple[Path, os.stat_result]:
    """``path``, or its nearest parent that this user can look at."""
    for place in (path.absolute(), *path.absolute().parents):
        try:
            return place if place != path.absolute() else path, place.stat()
        except OSError:
            continue
    return Path("/"), os.stat("/")


def _owner_of(path: Path) -> str:
    try:
        return _user(path.lstat().st_uid)
    except OSError:
        return "another user"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _me() -> str:
    return _user(os.geteuid())
