"""pause.flag in a run directory: create it, remove it, and read whether it asks for an immediate pause."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from autoresearch.errors import AutoresearchError
from autoresearch.storage.files import atomic_write
from autoresearch.storage.run_dir import PAUSE_FLAG

NOW = b"now"  # in the flag: do not wait for the running trial


def wants_immediate_pause(flag: Path) -> bool:
    """Whether the flag asks for a pause inside the running trial; whatever else it is, a pipe too, does not."""
    with suppress(OSError):
        fd = os.open(flag, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.read(fd, len(NOW) + 1).strip() == NOW
        finally:
            os.close(fd)
    return False


def pause(run_dir: Path, now: bool = False) -> bool:
    """Put pause.flag into the run directory; false if it was there already and said what it should."""
    flag = run_dir / PAUSE_FLAG
    if os.path.lexists(flag) and (not now or wants_immediate_pause(flag)):
        return False
    try:
        if now:
            atomic_write(flag, NOW + b"\n")
        else:
            flag.touch()
    except OSError as e:
        raise AutoresearchError(f"cannot create {flag}: {e.strerror}", hint="is it the run's directory?") from e
    return True


def resume(run_dir: Path) -> bool:
    """Take pause.flag away; false if there was none. A directory of that name is removed only when empty."""
    flag = run_dir / PAUSE_FLAG
    try:
        with suppress(FileNotFoundError):
            flag.rmdir() if flag.is_dir() and not flag.is_symlink() else flag.unlink()
            return True
    except OSError as e:
        raise AutoresearchError(f"cannot remove {flag}: {e.strerror}", hint="remove it by hand") from e
    return False
