"""The workspace of an attempt: files below one directory, reached without following any link.

Each directory on the way is opened relative to the handle of the one above it, so that no rename or link made meanwhile
leads outside. A regular file with a second hard link is refused: its other name may be anywhere.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autoresearch.storage.files import open_regular

MAX_FILE_BYTES = 1 << 20  # of a file that is written by a tool
MAX_READ_BYTES = 8 << 20  # of a file that a check reads
MAX_FILES = 1000  # of a task
MAX_ENTRIES = 2 * MAX_FILES  # files and directories that an agent may have
MAX_TOTAL_BYTES = 64 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class WorkspaceError(Exception):
    """A path or a file that a tool or a check must not or cannot use. The message is for the agent."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What lies in a workspace."""

    entries: int  # files, directories and others
    total_bytes: int


def parts_of(path: str) -> tuple[str, ...]:
    """The names in ``path``; empty for the workspace itself. Raises ``WorkspaceError``."""
    if path.startswith("/"):
        raise WorkspaceError(
            f"{path!r} is an absolute path: use a path relative to the workspace, for example notes.md"
        )
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts:
        raise WorkspaceError(f"{path!r} leaves the workspace")
    if any("\0" in part or len(part.encode(errors="surrogatepass")) > 255 for part in parts) or len(parts) > 32:
        raise WorkspaceError(f"{path[:80]!r} is not a valid path")
    return parts


class Workspace:
    """Files below ``root``, an existing directory."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, _DIRECTORY)

    def close(self) -> None:
        """Close the handle of the root."""
        os.close(self._root)

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, path: str, limit: int = MAX_READ_BYTES, offset: int = 0) -> tuple[bytes, int]:
        """At most ``limit`` bytes of a file from ``offset`` on, and its size. Raises ``WorkspaceError``."""
        with self._parent(path) as (folder, name), _explained(path):
            fd = open_regular(name, os.O_RDONLY, dir_fd=folder)
            with os.fdopen(fd, "rb") as file:
                status = os.fstat(fd)
                if status.st_nlink > 1:
                    raise WorkspaceError(f"{path}: it is a hard link to another file")
                file.seek(min(offset, status.st_size))
                return file.read(limit), status.st_size

    def write(self, path: str, data: bytes) -> None:
        """Create or replace a file, and the directories above it. Raises ``WorkspaceError``."""
        if len(data) > MAX_FILE_BYTES:
            raise WorkspaceError(f"{path}: {len(data):,} bytes are more than {MAX_FILE_BYTES:,}")
        usage = self.usage()
        if usage.entries >= MAX_ENTRIES or usage.total_bytes + len(data) > MAX_TOTAL_BYTES:
            raise WorkspaceError(f"the workspace is full: {usage.entries:,} entries, {usage.total_bytes:,} bytes")
        self.create(path, data)

    def create(self, path: str, data: bytes) -> None:
        """``write`` without a look at what lies there already. Raises ``WorkspaceError``."""
        with self._parent(path, create=True) as (folder, name), _explained(path):
            fd = open_regular(name, os.O_WRONLY | os.O_CREAT, dir_fd=folder)
            with os.fdopen(fd, "wb") as file:
                os.ftruncate(fd, 0)  # only once it is known to be a file of its own
                file.write(data)

    def kind(self, path: str) -> str | None:
        """What is at ``path``: "file", "directory", "other" (a link, a pipe ...), or ``None``."""
        try:
            with self._parent(path) as (folder, name):
                mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        except (OSError, WorkspaceError):
            return None
        return "file" if stat.S_ISREG(mode) else "directory" if stat.S_ISDIR(mode) else "other"

    def entries(self, path: str = "") -> list[tuple[str, str, int]]:
        """Everything below ``path``, in order: its path, "file", "directory" or "other", and its size."""
        with _explained(path or "the workspace"), self._directory(parts_of(path)) as fd:
            found = list(_walk(fd, "/".join(parts_of(path))))
        return sorted(found)

    def usage(self) -> Usage:
        """How much lies in the workspace. Raises ``WorkspaceError`` where it has too many entries to count."""
        entries = self.entries()
        return Usage(len(entries), sum(size for _, kind, size in entries if kind == "file"))

    @contextlib.contextmanager
    def _parent(self, path: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
        parts = parts_of(path)
        if not parts:
            raise WorkspaceError(f"{path!r} is the workspace itself, not a file")
        with contextlib.ExitStack() as stack:
            with _explained(path):
                folder = stack.enter_context(self._directory(parts[:-1], create=create))
            yield folder, parts[-1]

    @contextlib.contextmanager
    def _directory(self, parts: tuple[str, ...], *, create: bool = False) -> Iterator[int]:
        fd = os.open(".", _DIRECTORY, dir_fd=self._root)
        try:
            for part in parts:
                if create:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, dir_fd=fd)
                below = os.open(part, _DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)


def _walk(folder: int, prefix: str, budget: list[int] | None = None) -> Iterator[tuple[str, str, int]]:
    budget = budget if budget is not None else [2 * MAX_ENTRIES]
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        budget[0] -= 1
        if budget[0] < 0:
            raise WorkspaceError(f"the workspace has more than {2 * MAX_ENTRIES:,} entries")
        path = f"{prefix}/{name}" if prefix else name
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            yield path, "directory", 0
            below = os.open(name, _DIRECTORY, dir_fd=folder)
            try:
                if path.count("/") < 32:
                    yield from _walk(below, path, budget)
            finally:
                os.close(below)
        else:
            yield path, "file" if stat.S_ISREG(status.st_mode) else "other", status.st_size


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    """Turn an ``OSError`` into words for the agent."""
    try:
        yield
    except FileNotFoundError as e:
        raise WorkspaceError(f"{path}: there is no such file or directory") from e
    except NotADirectoryError as e:
        raise WorkspaceError(f"{path}: a part of it is not a directory, or is a link") from e
    except OSError as e:
        raise WorkspaceError(f"{path}: {e.strerror}") from e
    except ValueError as e:  # surrogates, which no file name of ours has
        raise WorkspaceError(f"{path!r} is not a valid path") from e
