"""An append-only JSON Lines file that loses nothing it acknowledged and repairs nothing by guessing.

A line is the payload's JSON with ``"seq"`` put first and ``"crc"`` (CRC-32 of everything before it) put last. One
writer at a time (the caller holds the directory's lock). An append returns once the line is on the disk.
"""

from __future__ import annotations

import os
import re
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.files import fsync_dir

_LINE = re.compile(rb'\{"seq":(\d+),(.*),"crc":"([0-9a-f]{8})"\}', re.DOTALL)


def seal(seq: int, payload: str) -> bytes:
    """The line for one JSON object: sequence number in front, checksum behind, newline last."""
    body = f'{{"seq":{seq},{payload[1:-1]}'.encode()
    return body + b',"crc":"%08x"}\n' % zlib.crc32(body)


def unseal(line: bytes, seq: int) -> bytes | None:
    """The payload of a line (without its newline), or ``None`` if it is not whole or not number ``seq``."""
    match = _LINE.fullmatch(line)
    if match is None or int(match[1]) != seq:
        return None
    body = line[: match.start(3) - len(b',"crc":"')]
    return b"{" + match[2] + b"}" if zlib.crc32(body) == int(match[3], 16) else None


@dataclass(frozen=True, slots=True)
class Contents:
    """What a journal file holds: payloads, and how many bytes of it are whole lines."""

    payloads: list[bytes]
    whole_bytes: int
    torn: bytes


def read(path: Path) -> Contents:
    """Read without changing anything; a torn tail is reported, not repaired. An absent file is empty.

    Raises ``JournalDamaged`` naming the first line that is damaged and is not the tail: a crash can only have torn
    the last append, so anything else is damage that a person must look at.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Contents([], 0, b"")
    except OSError as e:
        raise JournalError(f"cannot read {path}: {e.strerror}") from e
    payloads: list[bytes] = []
    at = 0
    while (end := data.find(b"\n", at)) >= 0:
        payload = unseal(data[at:end], len(payloads))
        if payload is None:
            break
        payloads.append(payload)
        at = end + 1
    torn = data[at:]
    if b"\n" in torn[:-1]:
        hint = f"keep a copy of {path.name}; cut it before that line by hand to go on from there, or start --fresh"
        raise JournalDamaged(f"{path}: line {len(payloads) + 1} is damaged and is not the last", hint=hint)
    return Contents(payloads, at, torn)


class Journal:
    """The writing end. After a failed write or fsync it refuses everything: what the disk holds is then unknown."""

    def __init__(self, path: Path) -> None:
        """Open for appending, create if absent, and repair a torn tail: the cut bytes go to ``NAME.torn-TIME``."""
        self.path = path
        contents = read(path)
        self.payloads = contents.payloads
        self.torn_bytes = len(contents.torn)
        self._next_seq = len(contents.payloads)
        self._broken = ""
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if contents.torn:
                self._cut(contents)
            fsync_dir(path.parent)
        except OSError as e:
            raise JournalError(f"cannot write {path}: {e.strerror}", hint="see its permissions and disk space") from e

    def _cut(self, contents: Contents) -> None:
        aside = self.path.with_name(f"{self.path.name}.torn-{time.time_ns()}")
        with aside.open("xb") as file:
            file.write(contents.torn)
            file.flush()
            os.fsync(file.fileno())
        os.ftruncate(self._fd, contents.whole_bytes)
        os.fsync(self._fd)

    def append(self, payload: str) -> int:
        """Write one JSON object durably and return its sequence number. Raises ``JournalError``."""
        if self._broken:
            raise JournalError(f"{self.path} takes no more records: {self._broken}")
        line = seal(self._next_seq, payload)
        size_before = os.fstat(self._fd).st_size
        try:
            _write_all(self._fd, line)
        except OSError as e:
            self._broken = f"writing failed: {e.strerror}"
            self._take_back(size_before)
            raise JournalError(
                f"cannot write {self.path}: {e.strerror}", hint="free disk space, then start again"
            ) from e
        try:
            os.fsync(self._fd)
        except OSError as e:  # never retried: the kernel may have dropped the pages and call the next fsync a success
            self._broken = f"fsync failed: {e.strerror}"
            raise JournalError(f"cannot make {self.path} durable: {e.strerror}", hint="see the system log") from e
        self._next_seq += 1
        return self._next_seq - 1

    def _take_back(self, size: int) -> None:
        """Cut a half-written line off again; if that fails too, the next start does it."""
        try:
            os.ftruncate(self._fd, size)
        except OSError:
            return

    def close(self) -> None:
        os.close(self._fd)

    def __iter__(self) -> Iterator[bytes]:
        """The payloads that were there when it was opened."""
        return iter(self.payloads)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
