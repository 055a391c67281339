"""One line of a journal: a payload sealed with its number and a checksum, and the whole lines of a file in order."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator

_LINE = re.compile(rb'\{"seq":(\d{1,18}),(.*),"crc":"([0-9a-f]{8})"\}', re.DOTALL)
_OBJECT = re.compile(r"\{[^\n]+\}")
_SEAL = b',"crc":"%08x"}'
_SEAL_BYTES = len(_SEAL % 0)
BLOCK_BYTES = 1 << 20  # read at once


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


class WholeLines:
    """The payloads of a journal in order, each verified, up to the first line that is not whole or not the next.

    ``blocks`` are the bytes of the file; one block is held at a time. After the iteration ``count`` lines of ``size``
    bytes in all were whole. ``stopped``: the line after them ends in a newline and is damaged or has another number.
    ``rest`` are the bytes after the last newline, unless ``stopped``.
    """

    def __init__(self, blocks: Iterable[bytes], count: int = 0, size: int = 0) -> None:
        """``count`` lines of ``size`` bytes precede the blocks."""
        self.count, self.size = count, size
        self.stopped = False
        self.rest = b""
        self._blocks = blocks
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The hash of the whole lines in the blocks; only after an iteration that was not ``stopped``."""
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
                self.size += len(line) + 1
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
