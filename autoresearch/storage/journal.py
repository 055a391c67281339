"""An append-only JSON Lines file that loses nothing it acknowledged and repairs nothing by guessing.

A line is the payload's JSON with ``"seq"`` put first and ``"crc"`` (CRC-32 of everything before it) put last. One
writer at a time (the caller holds the directory's lock). An append returns once the line is on the disk.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.storage.files import fsync_dir, open_regular

_LINE = re.compile(rb'\{"seq":(\d{1,18}),(.*),"crc":"([0-9a-f]{8})"\}', re.DOTALL)
_BEGIN = re.compile(rb'\{"seq":')
_OBJECT = re.compile(r"\{[^\n]+\}")


def seal(seq: int, payload: str) -> bytes:
    """The line for one JSON object: sequence number in front, checksum behind, newline last.

    Raises ``ValueError`` for a payload that would not come back: an empty object, or one on several lines.
    """
    if not _OBJECT.fullmatch(payload):
        raise ValueError(f"a payload is a JSON object with a field, on one line, not {payload[:80]!r}")
    body = f'{{"seq":{seq},{payload[1:-1]}'.encode()
    return body + b',"crc":"%08x"}\n' % zlib.crc32(body)


def unseal(line: bytes) -> tuple[int, bytes] | None:
    """Number and payload of a line (without its newline), or ``None`` if it is not whole."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    body = line[: match.start(3) - len(b',"crc":"')]
    return (int(match[1]), b"{" + match[2] + b"}") if zlib.crc32(body) == int(match[3], 16) else None


@dataclass(frozen=True, slots=True)
class Contents:
    """What a journal file holds: payloads, and how many bytes of it are whole lines."""

    payloads: list[bytes]
    whole_bytes: int
    torn: bytes


def read(path: Path) -> Contents:
    """Read without changing anything; a torn tail is reported, not repaired. An absent file is empty.

    Raises ``JournalDamaged`` naming the first line that is damaged and is not the tail, or is whole and not the one
    that comes next: a crash can only have torn the last append, so anything else is for a person to look at.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Contents([], 0, b"")
    except OSError as e:
        raise JournalError(f"cannot read {path}: {e.strerror}") from e
    return parse(data, path)


def parse(data: bytes, path: Path) -> Contents:
    """What a journal of these bytes holds; ``path`` is for the words of a refusal, which are those of ``read``."""
    payloads: list[bytes] = []
    at = 0
    while (end := data.find(b"\n", at)) >= 0:
        line = unseal(data[at:end])
        if line is None:
            break
        seq, payload = line
        if seq != len(payloads):
            raise _damaged(path, len(payloads), f"has number {seq} where {len(payloads)} comes next")
        payloads.append(payload)
        at = end + 1
    torn = data[at:]
    if b"\n" in torn[:-1] or _ends_in_a_line(torn):
        raise _damaged(path, len(payloads), "is damaged and is not the last")
    return Contents(payloads, at, torn)


def _ends_in_a_line(torn: bytes) -> bool:
    """Whether a whole line follows the damage: then it was the newline between two that was lost, and no crash."""
    starts = (match.start() for match in _BEGIN.finditer(torn, 1))
    return any(unseal(torn[start:].removesuffix(b"\n")) for start in starts)


def _damaged(path: Path, lines_before: int, how: str) -> JournalDamaged:
    hint = f"keep a copy of {path.name}; cut it before that line by hand to go on from there, or start --fresh"
    return JournalDamaged(f"{path}: line {lines_before + 1} {how}", hint=hint)


def _not_written(path: Path, e: OSError) -> JournalError:
    return JournalError(f"cannot write {path}: {e.strerror}", hint="see its permissions and disk space")


class Journal:
    """The writing end. After a failed write or fsync it refuses everything: what the disk holds is then unknown."""

    def __init__(self, path: Path) -> None:
        """Open for appending, create if absent, and repair a torn tail: the cut bytes go to ``NAME.torn-TIME``."""
        self.path = path
        try:  # before it is read: reading a pipe would wait for ever
            self._fd = open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        except OSError as e:
            raise _not_written(path, e) from e
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(os.close, self._fd)
            self._begin(read(path))
            on_failure.pop_all()

    def _begin(self, contents: Contents) -> None:
        self.payloads = contents.payloads
        self.torn_bytes = len(contents.torn)
        self._next_seq = len(contents.payloads)
        self._broken = ""
        try:
            if contents.torn:
                self._cut(contents)
            fsync_dir(self.path.parent)
        except OSError as e:
            raise _not_written(self.path, e) from e

    def _cut(self, contents: Contents) -> None:
        aside = self.path.with_name(f"{self.path.name}.torn-{time.time_ns()}")
        with aside.open("xb") as file:
            file.write(contents.torn)
            file.flush()
            os.fsync(file.fileno())
        fsync_dir(self.path.parent)
        os.ftruncate(self._fd, contents.whole_bytes)
        os.fsync(self._fd)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self._fd).st_size

    def append(self, payload: str) -> int:
        """Write one JSON object durably and return its sequence number. Raises ``JournalError``."""
        if self._broken:
            raise JournalError(f"{self.path} takes no more records: {self._broken}")
        line = seal(self._next_seq, payload)
        size_before = self.size
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
