"""The names of the files in checkpoint/, and their removal: no other file is removed, no link is followed."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection
from pathlib import Path

from autoresearch.storage.files import opened_directory

MANIFEST = "checkpoint.json"
_OURS = re.compile(rf"{re.escape(MANIFEST)}|\d+-rank-\d+\.pt|\.{re.escape(MANIFEST)}\.\w{{8}}")


def tensors_name(generation: int, rank: int) -> str:
    """The file with the tensors of one rank."""
    return f"{generation}-rank-{rank}.pt"


def remove_checkpoint_files(folder: Path, keep: Collection[str] = ()) -> None:
    """Remove the files of a checkpoint except ``keep``; best effort, and nothing where ``folder`` is a link."""
    with contextlib.suppress(OSError), opened_directory(folder, own=True) as fd:
        for name in os.listdir(fd):
            if _OURS.fullmatch(name) and name not in keep:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=fd)


def remove_checkpoint(folder: Path) -> None:
    """Remove the files of a checkpoint, and the directory if nothing else is in it; best effort."""
    remove_checkpoint_files(folder)
    with contextlib.suppress(OSError):  # a link, or a directory with files of another program
        os.rmdir(folder)
