"""One line of a journal: a payload sealed with its number and a checksum, and the whole lines of a file in order."""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

_LINE = re.compile(rb'\{"seq":(\d{1,18}),(.*),"crc":"([0-9a-f]{8})"\}', re.DOTALL)
_OBJECT = re.compile(r"\{[^\n]+\}")
_SEAL = b',"crc":"%08x"}'
_SEAL_BYTES = len(_SEAL % 0)
BLOCK_BYTES = 1 << 20  # read at once
Blocks = Callable[[int, int | None], Iterator[bytes]]  # the bytes of a journal from the first place to the second


def seal(seq: int, payload: str) -> bytes:
    """Build the line of one JSON object: sequence number first, then the payload, the checksum and a newline.

    Raises ``ValueError`` for a payload that could not be read back: an empty object, or one on several lines.
    """
    if not _OBJECT.fullmatch(payload):
        raise ValueError(f"a payload must be a JSON object with at least one field, on one line, not {payload[:80]!r}")
    body = f'{{"seq":{seq},{payload[1:-1]}'.encode()
    return body + _SEAL % zlib.crc32(body) + b"\n"


def unseal(line: bytes) -> tuple[int, bytes] | None:
    """Return sequence number and payload of a line (without its newline), or ``None`` if the line is damaged."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    body = line[: match.start(3) - len(b',"crc":"')]
    return (int(match[1]), b"{" + match[2] + b"}") if zlib.crc32(body) == int(match[3], 16) else None


@dataclass(frozen=True, slots=True)
class Prefix:
    """The beginning of a journal whose lines were verified once."""

    size: int  # bytes
    records: int
    sha256: str


class WholeLines:
    """The payloads of a journal in order, each verified, up to the first line that is not whole or not the next.

    ``blocks`` are the bytes of the file; one block is held at a time. After the iteration ``count`` lines of ``size``
    bytes in all were whole, and the last one began at ``place``. ``stopped``: the line after them ends in a newline and
    is damaged or has another number.
    ``rest`` are the bytes after the last newline, unless ``stopped``.
    """

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self.count, self.size, self.place = 0, 0, 0
        self.stopped = False
        self.rest = b""
        self._blocks = blocks
        self._hash = hashlib.sha256()

    @classmethod
    def after(cls, prefix: Prefix | None, blocks: Blocks) -> WholeLines | None:
        """The lines after ``prefix``; ``None`` if the journal does not begin with it."""
        if prefix is None:
            return None
        lines = cls(blocks(prefix.size, None))
        for block in blocks(0, prefix.size):
            lines._hash.update(block)
        lines.count, lines.size = prefix.records, prefix.size
        return lines if lines.sha256 == prefix.sha256 and _ends_with_its_last_line(prefix, blocks) else None

    @property
    def sha256(self) -> str:
        """The hash of all lines so far; only before the iteration or after one that was not ``stopped``."""
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            data = self.rest + block if self.rest else block
            *lines, self.rest = data.split(b"\n")
            for line in lines:
                if (payload := _next_payload(line, self.count)) is None:
                    self.stopped, self.rest = True, b""
                    return
                self.count += 1
                self.place, self.size = self.size, self.size + len(line) + 1
                yield payload
            self._hash.update(memoryview(data)[: len(data) - len(self.rest)])


def _next_payload(line: bytes, seq: int) -> bytes | None:
    """The payload of a line that is whole and has number ``seq``; ``unseal``, faster where ``seal`` has written it."""
    begin = b'{"seq":%d,' % seq
    end = len(line) - _SEAL_BYTES
    if end > len(begin) and line.startswith(begin) and line[end:] == _SEAL % zlib.crc32(memoryview(line)[:end]):
        return b"{" + line[len(begin) : end] + b"}"
    found = unseal(line)
    return found[1] if found and found[0] == seq else None


def _ends_with_its_last_line(prefix: Prefix, blocks: Blocks) -> bool:
    """Whether ``prefix`` ends in a whole line that has the number which its number of records says."""
    end = b"".join(blocks(max(0, prefix.size - BLOCK_BYTES), prefix.size))
    last = unseal(end[:-1].rpartition(b"\n")[2])
    return end.endswith(b"\n") and last is not None and last[0] == prefix.records - 1


def read_blocks(fd: int, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes of an open file from ``start`` to ``end``, or to its end. Raises ``OSError``."""
    while start < end and (block := os.pread(fd, min(BLOCK_BYTES, end - start), start)):
        yield block
        start += len(block)
