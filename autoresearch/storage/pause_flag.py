"""pause.flag in a run directory: create it, remove it, and read whether it requests an immediate pause."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from contextlib import suppress
from pathlib import Path
from typing import Literal

from autoresearch.errors import AutoresearchError
from autoresearch.hints import hint_after
from autoresearch.storage.files import atomic_write, open_regular, opened_directory
from autoresearch.storage.run_dir import PAUSE_FLAG

NOW = b"now"  # content of the flag: suspend the running trial instead of waiting for its end


def requests_immediate_pause(flag: Path) -> bool:
    """Whether the flag requests a pause inside the running trial; false for any other content or kind of file."""
    with suppress(OSError):
        fd = os.open(flag, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.read(fd, len(NOW) + 1).strip() == NOW
        finally:
            os.close(fd)
    return False


def requested_pause(flag: Path, always_now: bool = False) -> Literal["", "after_trial", "now"]:
    """The pause that the flag requests, if it is there; with ``always_now`` each one is immediate."""
    if not os.path.lexists(flag):
        return ""
    return "now" if always_now or requests_immediate_pause(flag) else "after_trial"


def pause(run_dir: Path, now: bool = False) -> bool:
    """Create pause.flag in the run directory. Return false if the same request was there already."""
    flag = run_dir / PAUSE_FLAG
    if os.path.lexists(flag) and (not now or requests_immediate_pause(flag)):
        return False
    try:
        if now:
            atomic_write(flag, NOW + b"\n")
        else:
            with suppress(FileExistsError), opened_directory(run_dir) as folder:
                os.close(open_regular(flag.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=folder))
    except OSError as e:
        raise AutoresearchError(
            f"cannot create {flag}: {e.strerror}",
            hint=hint_after(e, flag, "create"),
        ) from e
    return True


def resume(run_dir: Path) -> bool:
    """Remove pause.flag. Return false if there was none. A directory of that name is removed only when empty."""
    flag = run_dir / PAUSE_FLAG
    try:
        with suppress(FileNotFoundError), opened_directory(run_dir) as folder:
            is_directory = stat.S_ISDIR(os.stat(flag.name, dir_fd=folder, follow_symlinks=False).st_mode)
            (os.rmdir if is_directory else os.unlink)(flag.name, dir_fd=folder)
            return True
    except OSError as e:
        hint = hint_after(e, flag, "remove")
        if e.errno in (errno.ENOTEMPTY, errno.EEXIST):
            path = shlex.quote(str(flag.absolute()))
            hint = f"it is a directory with files in it: ls -lA {path} shows them, rm -r {path} removes it with them"
        raise AutoresearchError(f"cannot remove {flag}: {e.strerror}", hint=hint) from e
    return False
