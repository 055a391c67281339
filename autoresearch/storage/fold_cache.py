"""A cache of what was folded from the beginning of a journal. Nothing depends on it but the time that reading takes.

It has a line with the hash of what follows, a line of JSON (the code that folded; the beginning of the journal that it
is of, as length, number of records and SHA-256), and the state as JSON. It is used only where all of that is as it
should be and the state has exactly the types of this version; in any doubt the journal is read from its beginning. It
must belong to the journal's owner and be writable for no other user: a forged cache takes the rights to forge the
journal.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

import pydantic
from pydantic import BaseModel, ValidationError

from autoresearch import __version__
from autoresearch.core.values import FrozenModel
from autoresearch.storage.files import atomic_write, open_regular
from autoresearch.storage.sealed_line import Prefix, WholeLines

State = TypeVar("State", bound=BaseModel)

MIN_BYTES = 4 << 20  # of a journal, or of its growth, that are worth a cache
MAX_LINE_BYTES = 1024
MAX_SMALL_BYTES = 1 << 20  # a cache is smaller than its journal, unless that is short
PACKAGE = Path(__file__).parents[1]
FOLDING = (*(PACKAGE / name for name in ("core", "verdicts", "report", "storage", "daemon")), PACKAGE.parent / "rails")


class Header(FrozenModel):
    """The second line of a cache."""

    code: str
    bytes: int
    records: int
    sha256: str  # of the journal up to there


class FoldCache(Generic[State]):
    """The cache ``name`` beside a journal, of a fold whose state is a ``kind``. No method raises for a bad cache."""

    def __init__(self, journal: Path, name: str, kind: type[State]) -> None:
        self._journal, self._name, self._kind = journal, name, kind
        self._found = self._read()

    @property
    def prefix(self) -> Prefix | None:
        """The beginning of the journal that the cache claims to be of; the reader of the journal checks it."""
        if self._found is None:
            return None
        header = self._found[0]
        return Prefix(header.bytes, header.records, header.sha256)

    def state(self, prefix: Prefix | None) -> State | None:
        """The state after ``prefix``, which was checked; ``None`` if there is none."""
        if self._found is None or prefix is None or prefix != self.prefix:
            return None
        state, self._found = self._found[1], None
        try:
            return self._kind.model_validate_json(state)
        except ValidationError:
            return None

    def write(self, state: State, lines: WholeLines) -> None:
        """Replace the cache by the state after ``lines``, where that saves enough and the journal is the user's."""
        code = fingerprint()
        try:
            if not code or os.stat(self._journal).st_uid != os.geteuid():
                return
            header = Header(code=code, bytes=lines.size, records=lines.count, sha256=lines.sha256)
            text = f"{header.model_dump_json()}\n{state.model_dump_json(exclude_unset=True)}".encode()
            path = self._journal.with_name(self._name)
            atomic_write(path, hashlib.sha256(text).hexdigest().encode() + b"\n" + text, durable=False)
        except (OSError, ValueError):
            return

    def _read(self) -> tuple[Header, bytes] | None:
        with contextlib.suppress(OSError, ValueError):
            size = os.stat(self._journal).st_size
            if size < MIN_BYTES:
                return None
            with os.fdopen(open_regular(self._journal.with_name(self._name), os.O_RDONLY), "rb") as file:
                status = os.fstat(file.fileno())
                if not self._is_trusted(status) or status.st_size > size + MAX_SMALL_BYTES:
                    return None
                digest, head, state = file.readline(MAX_LINE_BYTES), file.readline(MAX_LINE_BYTES), file.read()
            hashed = hashlib.sha256(head)
            hashed.update(state)
            header = Header.model_validate_json(head)
            is_whole = digest == hashed.hexdigest().encode() + b"\n" and 0 < header.bytes <= size
            if is_whole and header.code == fingerprint():
                return header, state
        return None

    def _is_trusted(self, status: os.stat_result) -> bool:
        is_writable_by_others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        owner = os.stat(self._journal).st_uid
        return status.st_uid == owner and status.st_nlink == 1 and not is_writable_by_others


def is_worth_writing(lines: WholeLines, prefix: Prefix | None) -> bool:
    """Whether the journal has grown so much since ``prefix`` that the next reading saves more than a cache costs."""
    return lines.size - (prefix.size if prefix else 0) >= MIN_BYTES


@cache
def fingerprint() -> str:
    """A hash of the code that folds: a cache of other code is not used. Empty, for no cache, where it is unreadable."""
    found = hashlib.sha256(f"{__version__} pydantic {pydantic.VERSION}".encode())
    try:
        for file in (file for folder in FOLDING for file in sorted(folder.rglob("*.py"))):
            found.update(f"\n{file.name} {file.stat().st_size}\n".encode() + file.read_bytes())
    except OSError:
        return ""
    return found.hexdigest()
