"""A disk on which one call fails, chosen by its number: writes, torn writes, syncs, truncations, renames, removals."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

KINDS = ("write", "torn write", "fsync", "truncate", "rename", "remove")
BY_FD = {"write": "write", "pwrite": "write", "fsync": "fsync", "fdatasync": "fsync", "ftruncate": "truncate"}
BY_PATH = {"rename": "rename", "replace": "rename", "link": "rename", "unlink": "remove", "remove": "remove"}


class _File:
    """A file whose writes are counted by a disk; everything else is the file's own."""

    def __init__(self, file: Any, disk: FailingDisk) -> None:
        self._file, self._disk = file, disk

    def write(self, data: Any) -> int:
        if self._disk.fails("write"):
            if self._disk.kind == "torn write":
                self._file.write(data[: len(data) // 2])
            raise self._disk.error()
        written: int = self._file.write(data)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)


class FailingDisk:
    """Counts the calls of one kind on files below ``directory``; call number ``nth`` fails with ``number``.

    With ``lasting`` every later one fails too. ``nth = 0`` only counts. A torn write writes the first half.
    """

    def __init__(self, directory: Path, kind: str, nth: int, *, lasting: bool = False, number: int = errno.EIO) -> None:
        self.directory, self.kind, self.nth, self.lasting = str(directory), kind, nth, lasting
        self.calls, self.number = 0, number

    def error(self) -> OSError:
        return OSError(self.number, os.strerror(self.number))

    def fails(self, kind: str) -> bool:
        """Count a call of ``kind``, and say whether it is to fail."""
        if kind != self.kind.removeprefix("torn "):
            return False
        self.calls += 1
        return self.nth > 0 and (self.calls == self.nth or (self.lasting and self.calls > self.nth))

    def is_ours(self, fd: int) -> bool:
        return os.readlink(f"/proc/self/fd/{fd}").startswith(self.directory)

    def on_fd(self, kind: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(fd: int, *args: Any, **options: Any) -> Any:
            if self.is_ours(fd) and self.fails(kind):
                if kind == "write" and self.kind == "torn write":
                    real(fd, args[0][: len(args[0]) // 2], *args[1:], **options)
                raise self.error()
            return real(fd, *args, **options)

        return call

    def on_path(self, kind: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if self.fails(kind):
                raise self.error()
            return real(*args, **options)

        return call

    def on_open(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """Files of Python's own do not call ``os.write``: their ``write`` is counted instead."""

        def call(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            opened = real(file, mode, *args, **options)
            if set(mode) & set("wxa+") and self.is_ours(opened.fileno()):
                return _File(opened, self)
            return opened

        return call

    @contextmanager
    def plugged_in(self) -> Iterator[None]:
        """Replace the calls of ``os`` for a while."""
        with (
            mock.patch.multiple(
                os,
                **{name: self.on_fd(kind, getattr(os, name)) for name, kind in BY_FD.items()},
                **{name: self.on_path(kind, getattr(os, name)) for name, kind in BY_PATH.items()},
            ),
            mock.patch.object(io, "open", self.on_open(io.open)),
            mock.patch.object(builtins, "open", self.on_open(open)),
        ):
            yield
