"""A file that one process appends to, held so that no other file, writer or cut can take its place unnoticed."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from autoresearch.core.text import plural
from autoresearch.errors import LockHeld
from autoresearch.storage.disk_space import preallocate
from autoresearch.storage.files import create_file, is_plain_file, open_regular, opened_directory
from autoresearch.storage.lock import lock_whole_file
from autoresearch.storage.sealed_line import read_blocks

LINE_BYTES = 1 << 13  # read at once of a line whose length is not known


class HeldFile:
    """An open, locked file and a handle of its directory. The kernel releases the lock however the holder ends.

    The lock is advisory: readers are not affected. ``size`` is what this process wrote or found at its start.
    """

    def __init__(self, path: Path, mode: int = 0o644) -> None:
        """Open for reading and appending, create if absent. Raises ``OSError``; ``LockHeld`` for a second writer.

        ``mode`` is that of the file and of what is kept beside it, when they are created.
        """
        self.path, self._name, self._mode = path, os.fspath(path), mode
        with contextlib.ExitStack() as on_failure:
            self.folder = os.dup(on_failure.enter_context(opened_directory(path.parent)))
            on_failure.callback(os.close, self.folder)
            self.fd = open_regular(path.name, os.O_RDWR | os.O_APPEND | os.O_CREAT, dir_fd=self.folder, mode=mode)
            on_failure.callback(os.close, self.fd)
            try:
                lock_whole_file(self.fd)
            except BlockingIOError as e:
                hint = "stop that process first, or use another --dir; `fuser` or `lsof` names it"
                raise LockHeld(f"another running autoresearch appends to {path}", hint=hint) from e
            self.size = os.fstat(self.fd).st_size
            self._allocated = 0  # bytes up to which disk space is allocated
            on_failure.pop_all()

    def blocks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The content from ``start`` to ``end`` (default: as long as the file was when opened). Raises ``OSError``."""
        return read_blocks(self.fd, start, self.size if end is None else end)

    def line_at(self, start: int) -> bytes:
        """The line that begins at ``start``, without its newline. Raises ``OSError``."""
        line = b""
        while b"\n" not in line and (part := os.pread(self.fd, LINE_BYTES, start + len(line))):
            line += part
        return line.partition(b"\n")[0]

    def read(self) -> bytes:
        """The content: what was found when the file was opened, and what was written since. Raises ``OSError``."""
        parts, offset = [], 0
        while offset < self.size and (part := os.pread(self.fd, self.size - offset, offset)):
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def write(self, data: bytes) -> None:
        """Append ``data``; a part of it may be in the file after an ``OSError``."""
        size = len(data)
        while data:
            data = data[os.write(self.fd, data) :]
        self.size += size

    def cut(self, size: int, *, durably: bool = True) -> None:
        """Cut the file to ``size`` bytes; not ``durably`` where a later fsync covers it. Raises ``OSError``."""
        self._allocated = 0  # the kernel frees what is allocated beyond the end
        os.ftruncate(self.fd, size)
        self.size = size
        if durably:
            os.fsync(self.fd)

    def reserve(self, size: int) -> None:
        """Allocate disk space for the next ``size`` bytes once half of that is used up; best effort."""
        if self._allocated < self.size + size // 2 and preallocate(self.fd, self.size, size):
            self._allocated = self.size + size

    def displacement(self) -> str:
        """What other programs did to the file since it was opened; empty if it is the one at its path, as written."""
        held = os.fstat(self.fd)
        try:
            named = os.lstat(self._name)
        except OSError:
            return "was removed or moved away"
        if (named.st_dev, named.st_ino) != (held.st_dev, held.st_ino):
            return "was replaced by another file, for example by an editor, sed -i or logrotate"
        if held.st_nlink != 1:
            return f"has {held.st_nlink} hard links, and it must have one"
        if held.st_size < self.size:
            return f"was cut from {self.size} to {held.st_size} bytes by another process"
        if held.st_size > self.size:
            return f"was {self.size} bytes long and is {held.st_size}: another process writes to it"
        return ""

    def keep_aside(self, name: str, data: bytes) -> None:
        """Write the new file ``name`` beside it, durably. Raises ``OSError``."""
        create_file(name, self.folder, data, self._mode)

    def remove_old(self, label: str, keep: int) -> str:
        """Remove all but the newest ``keep`` files NAME.LABEL-NUMBER beside it; say what was removed, empty for none.

        Raises ``OSError``.
        """
        pattern = re.compile(rf"{re.escape(self.path.name)}\.{label}-(\d+)")
        matches = (pattern.fullmatch(name) for name in os.listdir(self.folder))
        ours = [match for match in matches if match and is_plain_file(match[0], self.folder)]
        old = sorted(ours, key=lambda match: int(match[1]))[:-keep]
        for match in old:
            os.unlink(match[0], dir_fd=self.folder)
        if not old:
            return ""
        return f"removed {plural(len(old), 'old file')} {self.path.name}.{label}-*; the newest {keep} stay"

    def close(self) -> None:
        os.close(self.fd)
        os.close(self.folder)
        self.fd = self.folder = -1  # the numbers may become another file's
