"""exchanges.jsonl: every exchange with an LLM server in full, beside the trajectory of the same run.

The live file is a journal, as the trajectory is. When it is full, it is compressed into ``exchanges-0001.jsonl.gz``,
``-0002`` and so on, and a new live file begins; nothing is deleted within a run. Exchanges are numbered from 1 through
all segments. Only the holder of the run directory's lock writes; any process may read at any time.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.core.llm_calls import Exchange, decode_exchange
from autoresearch.core.records import encode
from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.hints import command, hint_after
from autoresearch.storage import journal
from autoresearch.storage.decode import OTHER_VERSION, decode_lines
from autoresearch.storage.files import atomic_write, fsync_dir, open_regular, opened_directory
from autoresearch.storage.journal import Journal
from autoresearch.storage.run_dir import EXCHANGE_FILES, EXCHANGES

SEGMENT_BYTES = 8 << 20
_SEGMENT = re.compile(r"exchanges-(\d{4,})\.jsonl\.gz")
_LEFTOVER = re.compile(r"\.exchanges-\d{4,}\.jsonl\.gz\.\w{8}")  # of ``atomic_write``
_NAME_ONE = f"give the directory of a run with an LLM proposer, its {EXCHANGES}, or one of its exchanges-NNNN.jsonl.gz"
_NOT_REPAIRED = "restore the file from a copy of the run directory, or start --fresh, which moves it to archive/"


@dataclass(slots=True)
class MemoryLog:
    """Keeps exchanges in memory, for checking a server without writing a file."""

    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def next_number(self) -> int:
        """See ``ExchangeLog``."""
        return len(self.exchanges) + 1

    def append(self, exchange: Exchange) -> None:
        """See ``ExchangeLog``."""
        self.exchanges.append(exchange)


class ExchangeLog:
    """Appends exchanges. After a failure it refuses every append, as ``Journal`` does: the disk's content is unknown.

    ``write`` writes a whole segment atomically or raises ``OSError``.
    """

    def __init__(
        self, run_dir: Path, segment_bytes: int = SEGMENT_BYTES, write: Callable[[Path, bytes], None] = atomic_write
    ) -> None:
        """Open for appending, create if absent, repair a torn tail, and finish a compression that a crash interrupted.

        Raises ``JournalDamaged`` for damage that a crash cannot cause, and ``JournalError`` for a failed write.
        """
        self.live = run_dir / EXCHANGES
        self.segment_bytes = segment_bytes
        self._write = write
        self._compress_at = segment_bytes
        self._broken = ""
        segments = _segments(run_dir)
        self._segment = len(segments)  # the number of the newest
        newest = _decompress(segments[-1]) if segments else b""
        self._finish_compression(newest)
        self._journal = Journal(self.live)
        self.removed = self._journal.describe_removed()  # of old files with torn tails
        try:
            last = _last_number(segments[-1], newest) if segments else 0
            self.next_number = last + 1 + len(_decode(self.live, self._journal, last))
        except JournalDamaged:
            self._journal.close()
            raise

    def append(self, exchange: Exchange) -> None:
        """Append durably. Raises ``JournalError``; after one with ``no_space`` the append may be repeated.

        Raises ``ValueError`` if the exchange's number is not the next one.
        """
        if exchange.exchange != self.next_number:
            raise ValueError(f"exchange {exchange.exchange} where {self.next_number} comes next")
        if self._broken:
            raise JournalError(f"{self.live} accepts no more exchanges: {self._broken}")
        try:
            if self._journal.size >= max(self._compress_at, 1):
                self._begin_segment()
            self._journal.append(encode(exchange))
        except JournalError as e:
            self._broken = "" if e.no_space else e.what
            raise
        self.next_number += 1

    def close(self) -> None:
        self._journal.close()

    def _begin_segment(self) -> None:
        """Compress the live file; once that is durable, remove the live file and create a new one.

        A disk too full for the segment does not end the run: the live file grows further and no exchange is lost.
        Compression is tried again one segment later (each try fills the disk for a moment) or after the next start.
        Where even a line no longer fits, the append raises.
        """
        target = _segment(self.live.parent, self._segment + 1)
        try:
            self._write(target, gzip.compress(_read(self.live), mtime=0))
        except OSError as e:
            if os.path.lexists(target):  # in place but perhaps not durable: with one more line in the live
                # file, neither would hold all of the other
                raise JournalError(f"cannot make {target} durable: {e.strerror}", hint="see the system log") from e
            self._compress_at = self._journal.size + self.segment_bytes
            return
        self._journal.check()
        _remove(self.live)
        full, self._journal = self._journal, Journal(self.live)
        full.close()
        self._segment += 1
        self._compress_at = self.segment_bytes

    def _finish_compression(self, newest: bytes) -> None:
        """Remove what a kill during a compression left: a half-written segment, or a live file already compressed."""
        for leftover in self.live.parent.glob(".exchanges-*.jsonl.gz.*"):
            if _LEFTOVER.fullmatch(leftover.name):
                _remove(leftover)
        if _is_compressed(_read_bytes(self.live), newest):
            _remove(self.live)


def read_exchanges(path: Path) -> list[Exchange]:
    """Return every exchange, in order; see ``stream_exchanges``."""
    return list(stream_exchanges(path))


def stream_exchanges(path: Path) -> Iterator[Exchange]:
    """Yield every exchange, in order, of the log that ``path`` names: a run directory, or any one file of its log.

    One file of the log is held at a time. Changes nothing; a torn tail is skipped. Raises ``JournalError`` if there is
    no log, and ``JournalDamaged`` naming file and line for damage or a gap.
    """
    try:
        run_dir = _directory_of(path)
    except OSError as e:
        raise JournalError(f"cannot read {path}: {e.strerror}", hint=hint_after(e, path, "read")) from e
    live = _read_bytes(run_dir / EXCHANGES)  # before the segments: a daemon may compress it meanwhile
    count, newest = 0, b""
    for segment in _segments(run_dir):
        newest = _decompress(segment)
        exchanges = _decode(segment, _whole_payloads(segment, newest), count)
        count += len(exchanges)
        yield from exchanges
    if not _is_compressed(live, newest):
        yield from _decode(run_dir / EXCHANGES, journal.parse(live, run_dir / EXCHANGES).payloads, count)


def last_compressed(run_dir: Path, live: bytes) -> int:
    """The number of the last exchange before those of the live file, whose content is ``live``.

    Raises ``JournalDamaged`` for a damaged segment.
    """
    segments = _segments(run_dir)
    newest = _decompress(segments[-1]) if segments else b""
    if segments and _is_compressed(live, newest):  # the live file repeats the newest, and the next start removes it
        segments.pop()
        newest = _decompress(segments[-1]) if segments else b""
    return _last_number(segments[-1], newest) if segments else 0


def _directory_of(path: Path) -> Path:
    if path.is_dir():
        if any(path.glob(EXCHANGE_FILES)):
            return path
        raise JournalError(f"{path} has no {EXCHANGES}: no LLM was called in this run", hint=_NAME_ONE)
    if path.name != EXCHANGES and not _SEGMENT.fullmatch(path.name):
        raise JournalError(f"{path} is not a log of exchanges", hint=_NAME_ONE)
    if path.is_file() or (
        path.name == EXCHANGES and _segments(path.parent)
    ):  # the live file may have just been compressed
        return path.parent
    raise JournalError(f"there is no {path}", hint=_NAME_ONE)


def _segments(run_dir: Path) -> list[Path]:
    """Return the compressed segments in order. Raises ``JournalDamaged`` if one is missing."""
    matches = (_SEGMENT.fullmatch(path.name) for path in run_dir.glob("exchanges-*.jsonl.gz"))
    last = max((int(match[1]) for match in matches if match), default=0)
    segments = [_segment(run_dir, number) for number in range(1, last + 1)]
    for segment in segments:
        if not segment.exists():
            raise JournalDamaged(f"{segment} is missing, but a later segment exists", hint=_NOT_REPAIRED)
    return segments


def _segment(run_dir: Path, number: int) -> Path:
    return run_dir / f"exchanges-{number:04d}.jsonl.gz"


def _read_bytes(path: Path) -> bytes:
    """Return the content of ``path``, empty for an absent file."""
    try:
        return _read(path)
    except FileNotFoundError:
        return b""
    except OSError as e:
        raise JournalError(f"cannot read {path}: {e.strerror}", hint=hint_after(e, path, "read")) from e


def _read(path: Path) -> bytes:
    """The content of a file in a run directory; a link in its place is not followed. Raises ``OSError``."""
    with opened_directory(path.parent) as folder:
        fd = open_regular(path.name, os.O_RDONLY, dir_fd=folder)
    with os.fdopen(fd, "rb") as file:
        return file.read()


def _decompress(segment: Path) -> bytes:
    compressed = _read_bytes(segment)
    try:
        return gzip.decompress(compressed)
    except (EOFError, gzip.BadGzipFile, zlib.error) as e:
        raise JournalDamaged(f"{segment} is damaged: {e}", hint=_NOT_REPAIRED) from e


def _whole_payloads(segment: Path, data: bytes) -> list[bytes]:
    """Return the payloads of a segment. A segment was compressed whole and never grows, so a torn tail is damage."""
    try:
        contents = journal.parse(data, segment)
    except JournalDamaged as e:
        raise JournalDamaged(e.what, hint=_NOT_REPAIRED) from e
    if contents.torn or not contents.payloads:
        raise JournalDamaged(f"{segment}: line {len(contents.payloads) + 1} is not whole", hint=_NOT_REPAIRED)
    return contents.payloads


def _last_number(segment: Path, data: bytes) -> int:
    """Return the number of a segment's last exchange."""
    payloads = _whole_payloads(segment, data)
    before = next(decode_lines(payloads, decode_exchange, segment, hint=OTHER_VERSION)).exchange - 1
    return before + len(_decode(segment, payloads, before))


def _decode(file: Path, payloads: Iterable[bytes], before: int) -> list[Exchange]:
    """Decode the exchanges of one file; the number of the first must be ``before`` + 1."""
    exchanges: list[Exchange] = []
    for line, exchange in enumerate(decode_lines(payloads, decode_exchange, file, hint=OTHER_VERSION), 1):
        if exchange.exchange != (expected := before + line):
            what = f"{file}: line {line} is exchange {exchange.exchange} where {expected} comes next"
            repair = f"`{command('repair', file.parent)}` shows what is whole and how to continue"
            raise JournalDamaged(what, hint=repair if file.name == EXCHANGES else _NOT_REPAIRED)
        exchanges.append(exchange)
    return exchanges


def _is_compressed(live: bytes, newest: bytes) -> bool:
    """Whether the newest segment holds every whole line of the live file, which was then about to be removed."""
    lines = live[: live.rfind(b"\n") + 1]
    return bool(lines) and newest.startswith(lines)


def _remove(path: Path) -> None:
    """Remove ``path`` durably."""
    try:
        with opened_directory(path.parent) as folder:
            os.unlink(path.name, dir_fd=folder)
        fsync_dir(path.parent)
    except OSError as e:
        raise JournalError(f"cannot remove {path}: {e.strerror}", hint=hint_after(e, path, "remove")) from e
