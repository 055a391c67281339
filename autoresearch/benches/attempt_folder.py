"""The folder of one attempt: its name, whatever the case's id is, and its durability."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from autoresearch.errors import JournalError
from autoresearch.hints import hint_after

ATTEMPTS = "attempts"
MAX_NAME_CHARS = 80
_PLAIN = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{MAX_NAME_CHARS - 1}}}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def attempt_folder(run_dir: Path, case_id: str, sample: int) -> Path:
    """DIR/attempts/CASE-SAMPLE. An id that is not a plain file name is shortened and gets a hash after a ``~``."""
    return run_dir / ATTEMPTS / f"{_safe_name(case_id)}-{sample}"


def _safe_name(case_id: str) -> str:
    if _PLAIN.fullmatch(case_id):
        return case_id
    digest = hashlib.sha256(case_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{_UNSAFE.sub('_', case_id)[:MAX_NAME_CHARS].lstrip('.')}~{digest}"


def make_fresh(folder: Path) -> None:
    """Create ``folder``, empty: what a killed attempt left in it is removed. Raises ``JournalError``."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove(folder)
        folder.mkdir()
    except OSError as e:
        raise JournalError(f"cannot create {folder}: {e.strerror}", hint=hint_after(e, folder, "create")) from e


def remove(folder: Path) -> None:
    """Remove a folder with what is in it, if it is there. A link is removed, not followed. Raises ``OSError``."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        for place, folders, _ in os.walk(folder):  # an attempt may have taken rights away, and walk enters what follows
            for name in folders:
                with suppress(OSError):
                    if not os.path.islink(path := os.path.join(place, name)):
                        os.chmod(path, stat.S_IRWXU)
        shutil.rmtree(folder)


def settle(folder: Path) -> None:
    """Make what an attempt left durable, before its record is written; an empty folder is removed."""
    with suppress(OSError):
        folder.rmdir()
        return
    for place, _, files in os.walk(folder):
        for name in files:
            _sync(os.path.join(place, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        _sync(place, os.O_RDONLY | os.O_DIRECTORY)
    _sync(str(folder.parent), os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: str, flags: int) -> None:
    """Best effort: an attempt may leave links, pipes, and files that cannot be read."""
    with suppress(OSError):
        fd = os.open(path, flags | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
