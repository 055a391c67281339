"""exchanges.jsonl: every exchange with an LLM server, whole, beside the trajectory that it led to.

The live file is a journal as the trajectory is one. When it is full it is compressed into ``exchanges-0001.jsonl.gz``,
``-0002`` and so on, and a new one begins; nothing is deleted within a run. Exchanges are numbered from 1 through all
segments. Only the owner of the run directory's lock writes; anybody may read at any time.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.core.llm_calls import Exchange, decode_exchange
from autoresearch.core.records import encode
from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.storage import journal
from autoresearch.storage.decode import OTHER_VERSION, decode_lines
from autoresearch.storage.files import atomic_write, fsync_dir
from autoresearch.storage.journal import Journal
from autoresearch.storage.run_dir import EXCHANGE_FILES, EXCHANGES

SEGMENT_BYTES = 8 << 20
_SEGMENT = re.compile(r"exchanges-(\d{4,})\.jsonl\.gz")
_NAME_ONE = f"give a run directory that an LLM proposed for, its {EXCHANGES}, or one of its exchanges-NNNN.jsonl.gz"
_NOT_TO_MEND = "take the file from a copy of the run directory, or start --fresh, which keeps what is there in archive/"


@dataclass(slots=True)
class MemoryLog:
    """Keeps exchanges only as long as it lives: for a look at a server that is to leave nothing behind."""

    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def next_number(self) -> int:
        """See ``ExchangeLog``."""
        return len(self.exchanges) + 1

    def append(self, exchange: Exchange) -> None:
        """See ``ExchangeLog``."""
        self.exchanges.append(exchange)


class ExchangeLog:
    """The writing end. After a failure it refuses everything, as ``Journal`` does: the disk's content is then unknown.

    ``write`` puts a whole segment into place or raises ``OSError``.
    """

    def __init__(
        self, run_dir: Path, segment_bytes: int = SEGMENT_BYTES, write: Callable[[Path, bytes], None] = atomic_write
    ) -> None:
        """Open for appending, create if absent, repair a torn tail, and finish a compression that a crash cut in two.

        Raises ``JournalDamaged`` for what no crash can have done, and ``JournalError`` for what cannot be written.
        """
        self.live = run_dir / EXCHANGES
        self.segment_bytes = segment_bytes
        self._write = write
        self._compress_at = segment_bytes
        self._broken = ""
        segments = _segments(run_dir)
        self._segment = len(segments)  # the number of the newest
        newest = _unpacked(segments[-1]) if segments else b""
        self._tidy(newest)
        self._journal = Journal(self.live)
        try:
            last = _last_number(segments[-1], newest) if segments else 0
            self.next_number = last + 1 + len(_decoded(self.live, self._journal, last))
        except JournalDamaged:
            self._journal.close()
            raise

    def append(self, exchange: Exchange) -> None:
        """Durable on return. Raises ``JournalError``, and ``ValueError`` if its number is not the next one."""
        if exchange.exchange != self.next_number:
            raise ValueError(f"exchange {exchange.exchange} where {self.next_number} comes next")
        if self._broken:
            raise JournalError(f"{self.live} takes no more exchanges: {self._broken}")
        try:
            if self._journal.size >= max(self._compress_at, 1):
                self._begin_segment()
            self._journal.append(encode(exchange))
        except JournalError as e:
            self._broken = e.what
            raise
        self.next_number += 1

    def close(self) -> None:
        self._journal.close()

    def _begin_segment(self) -> None:
        """Compress the live file, and only when that is durable remove it and begin a new one.

        A disk too full for it is no reason to end the night: no exchange is lost by a live file that goes on growing.
        It is tried again a segment later (each try fills the disk for a moment), or after the next start. Where not
        even a line fits any more, the append says so.
        """
        target = _segment(self.live.parent, self._segment + 1)
        try:
            self._write(target, gzip.compress(self.live.read_bytes(), mtime=0))
        except OSError as e:
            if os.path.lexists(target):  # in place, but perhaps not for good: another line in the old file, and the
                # two would be neither the same nor one after the other
                raise JournalError(f"cannot make {target} durable: {e.strerror}", hint="see the system log") from e
            self._compress_at = self._journal.size + self.segment_bytes
            return
        _remove(self.live)
        full, self._journal = self._journal, Journal(self.live)
        full.close()
        self._segment += 1
        self._compress_at = self.segment_bytes

    def _tidy(self, newest: bytes) -> None:
        """Remove what a kill during a compression left: a half-written segment, or the live file that became one."""
        for leftover in self.live.parent.glob(".exchanges-*.jsonl.gz.*"):
            _remove(leftover)
        if _is_compressed(_bytes_of(self.live), newest):
            _remove(self.live)


def read_exchanges(path: Path) -> list[Exchange]:
    """Every exchange of the log that ``path`` belongs to, in order: a run directory, or any one file of its log.

    Changes nothing; a torn tail is passed over. Raises ``JournalError`` if there is no log, and ``JournalDamaged``
    naming file and line for damage or a gap.
    """
    try:
        run_dir = _directory_of(path)
    except OSError as e:
        raise JournalError(f"cannot read {path}: {e.strerror}", hint="see its permissions") from e
    live = _bytes_of(run_dir / EXCHANGES)  # before the segments: a daemon may make it one of them meanwhile
    found: list[Exchange] = []
    newest = b""
    for segment in _segments(run_dir):
        newest = _unpacked(segment)
        found += _decoded(segment, _whole(segment, newest), len(found))
    if not _is_compressed(live, newest):
        found += _decoded(run_dir / EXCHANGES, journal.parse(live, run_dir / EXCHANGES).payloads, len(found))
    return found


def _directory_of(path: Path) -> Path:
    if path.is_dir():
        if any(path.glob(EXCHANGE_FILES)):
            return path
        raise JournalError(f"{path} has no {EXCHANGES}: no LLM has been asked there", hint=_NAME_ONE)
    if path.name != EXCHANGES and not _SEGMENT.fullmatch(path.name):
        raise JournalError(f"{path} is no log of exchanges", hint=_NAME_ONE)
    if path.is_file() or (path.name == EXCHANGES and _segments(path.parent)):  # the live one may be compressed just now
        return path.parent
    raise JournalError(f"there is no {path}", hint=_NAME_ONE)


def _segments(run_dir: Path) -> list[Path]:
    """The compressed segments in their order. Raises ``JournalDamaged`` if one is missing."""
    matches = (_SEGMENT.fullmatch(path.name) for path in run_dir.glob("exchanges-*.jsonl.gz"))
    last = max((int(match[1]) for match in matches if match), default=0)
    segments = [_segment(run_dir, number) for number in range(1, last + 1)]
    for segment in segments:
        if not segment.exists():
            raise JournalDamaged(f"{segment} is missing, and a later one is there", hint=_NOT_TO_MEND)
    return segments


def _segment(run_dir: Path, number: int) -> Path:
    return run_dir / f"exchanges-{number:04d}.jsonl.gz"


def _bytes_of(path: Path) -> bytes:
    """An absent file is empty."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as e:
        raise JournalError(f"cannot read {path}: {e.strerror}", hint="see its permissions") from e


def _unpacked(segment: Path) -> bytes:
    packed = _bytes_of(segment)
    try:
        return gzip.decompress(packed)
    except (EOFError, gzip.BadGzipFile, zlib.error) as e:
        raise JournalDamaged(f"{segment} is damaged: {e}", hint=_NOT_TO_MEND) from e


def _whole(segment: Path, data: bytes) -> list[bytes]:
    """The payloads of a segment, which was whole when it was compressed and never grows."""
    try:
        contents = journal.parse(data, segment)
    except JournalDamaged as e:
        raise JournalDamaged(e.what, hint=_NOT_TO_MEND) from e
    if contents.torn or not contents.payloads:
        raise JournalDamaged(f"{segment}: line {len(contents.payloads) + 1} is not whole", hint=_NOT_TO_MEND)
    return contents.payloads


def _last_number(segment: Path, data: bytes) -> int:
    """The number of a segment's last exchange."""
    payloads = _whole(segment, data)
    before = next(decode_lines(payloads, decode_exchange, segment, hint=OTHER_VERSION)).exchange - 1
    return before + len(_decoded(segment, payloads, before))


def _decoded(file: Path, payloads: Iterable[bytes], before: int) -> list[Exchange]:
    """The exchanges of one file; the first one's number is ``before`` + 1."""
    exchanges: list[Exchange] = []
    for line, exchange in enumerate(decode_lines(payloads, decode_exchange, file, hint=OTHER_VERSION), 1):
        if exchange.exchange != (expected := before + line):
            what = f"{file}: line {line} is exchange {exchange.exchange} where {expected} comes next"
            raise JournalDamaged(what, hint=_NOT_TO_MEND)
        exchanges.append(exchange)
    return exchanges


def _is_compressed(live: bytes, newest: bytes) -> bool:
    """Whether the newest segment has every whole line of the live file: then that was to be removed next."""
    lines = live[: live.rfind(b"\n") + 1]
    return bool(lines) and newest.startswith(lines)


def _remove(path: Path) -> None:
    """Durably."""
    try:
        path.unlink()
        fsync_dir(path.parent)
    except OSError as e:
        raise JournalError(f"cannot remove {path}: {e.strerror}", hint="see its permissions and disk space") from e
