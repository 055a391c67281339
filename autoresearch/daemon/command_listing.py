"""Which files a command could read when its run began, so that a later start names those that differ."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from autoresearch.core.records import CommandYardstick
from autoresearch.core.text import escape_control
from autoresearch.daemon.command_files import CommandFiles
from autoresearch.errors import YardstickMismatch
from autoresearch.storage.files import atomic_write
from autoresearch.storage.run_dir import COMMAND_FILES

MAX_BYTES = 64 << 20
NAMED = 10  # of the files that differ


def check_listing(run_dir: Path, files: CommandFiles, fixed: CommandYardstick | None, *, write: bool = True) -> None:
    """Raise ``YardstickMismatch`` naming the files that differ from those of the run that is continued.

    ``fixed`` is of that run; ``None``: it begins now, and its listing is written. Without a listing nothing is raised:
    the yardstick has the hash of all files.
    """
    path = run_dir / COMMAND_FILES
    if fixed is not None and fixed.files_sha256 != files.sha256:
        if differences := _differences(_read(path, fixed.files_sha256), files.hashes):
            more = f" and {len(differences) - NAMED} more" if len(differences) > NAMED else ""
            named = ", ".join(differences[:NAMED])
            what = f"what the command can read differs from the run (command.files_sha256): {named}"
            hint = "undo the change, choose another --dir, or start over with --fresh (the old run is archived)"
            raise YardstickMismatch(what + more, hint=hint)
    elif write and (fixed is None or not _read(path, files.sha256)):
        with contextlib.suppress(OSError):  # a full disk ends the run at its first record
            atomic_write(path, json.dumps({"sha256": files.sha256, "files": dict(files.hashes)}, indent=1).encode())


def _read(path: Path, sha256: str) -> dict[str, str]:
    """The files with that hash; empty where the listing is missing, damaged, or of other files."""
    try:
        found = json.loads(path.read_bytes()) if path.stat().st_size <= MAX_BYTES else None
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict) or found.get("sha256") != sha256 or not isinstance(found.get("files"), dict):
        return {}
    return {str(name): str(digest) for name, digest in found["files"].items()}


def _differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """One text per file: changed, gone, new. Nothing where ``then`` is not known."""
    if not then:
        return []
    changed = [f"{name} changed" for name in then if name in now and now[name] != then[name]]
    gone = [f"{name} is gone" for name in then if name not in now]
    return [escape_control(text) for text in (*changed, *gone, *(f"{name} is new" for name in now if name not in then))]
