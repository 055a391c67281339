"""An append-only JSON Lines file that loses no acknowledged record and repairs nothing by guessing.

A line is the payload's JSON with ``"seq"`` added in front and ``"crc"`` (CRC-32 of everything before it) added at the
end. There is one writer at a time: the file is locked. An append returns once the line is on disk and the file is still
the one at its path.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.hints import explain
from autoresearch.storage.held_file import HeldFile
from autoresearch.storage.run_dir import TRAJECTORY
from autoresearch.storage.sealed_line import WholeLines
from autoresearch.storage.sealed_line import seal as seal
from autoresearch.storage.sealed_line import unseal as unseal

_BEGIN = re.compile(rb'\{"seq":')
_SEALED = re.compile(rb'"crc":"[0-9a-f]{8}"\}$')
KEPT_TORN_FILES = 20  # beside one journal
UTF16_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
PRINTABLE = bytes(range(0x20, 0x7F))  # a record is ASCII without control characters
FEW_LINES = 4  # fewer do not show how long a line can be
SEAL_BYTES = 30  # of a line beside its payload: number, checksum, newline


@dataclass(frozen=True, slots=True)
class Contents:
    """The content of a journal file: payloads, the number of bytes in whole lines, and the torn bytes after them."""

    payloads: list[bytes]
    whole_bytes: int
    torn: bytes


def read(path: Path) -> Contents:
    """Read without changing anything; a torn tail is reported, not repaired. An absent file is empty.

    Raises ``JournalDamaged`` naming the first line that is damaged and is not the tail, or that is whole and has the
    wrong sequence number: a crash can only tear the last append, so any other damage needs a person to decide.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Contents([], 0, b"")
    except OSError as e:
        raise JournalError(f"cannot read {path}: {e.strerror}") from e
    return parse(data, path)


def parse(data: bytes, path: Path) -> Contents:
    """Parse the bytes of a journal; ``path`` is named in the errors, which are those of ``read``."""
    payloads: list[bytes] = []
    offset = 0
    while (end := data.find(b"\n", offset)) >= 0:
        line = unseal(data[offset:end])
        if line is None:
            break
        seq, payload = line
        if seq != len(payloads):
            raise _wrong_number(path, len(payloads), seq)
        payloads.append(payload)
        offset = end + 1
    tail = data[offset:]
    if problem := tail_problem(tail, payloads):
        raise _damaged(path, len(payloads), problem)
    return Contents(payloads, offset, tail)


def tail_problem(tail: bytes, payloads: Iterable[bytes]) -> str:
    """Why ``tail``, the bytes after the last whole line, is more than one torn append; empty if it can be one.

    ``payloads`` are those before it; they are read only where the length of a line counts.

    Blank lines, as an editor leaves them at the end, are not damage.
    """
    text, first = tail.rstrip(), tail.partition(b"\n")[0]
    if not text:
        return ""
    if tail.startswith(UTF16_BOMS) and len(text) > len(UTF16_BOMS[0]):
        return "is in UTF-16, as an editor has saved the file"
    if tail.startswith(codecs.BOM_UTF8):
        return "begins with a byte-order mark (BOM), which an editor adds"
    if first.endswith(b"\r") and unseal(first.rstrip()):
        return "ends in CRLF, which an editor writes"
    if not first.strip():
        return "is damaged: it is blank and is not the last"
    if b"\n" in text or _has_whole_line(text):
        return "is damaged and is not the last"
    return _too_long_for_one(text, payloads)


def _too_long_for_one(text: bytes, payloads: Iterable[bytes]) -> str:
    """Why the damaged ``text`` at the end must be several records; empty where it can be one.

    A crash leaves zeros only in the one line that was not yet acknowledged. A longer block has overwritten others.
    """
    foreign = len(text.translate(None, PRINTABLE))
    if not foreign:
        return ""
    shortest, limit = _line_lengths(payloads)
    if (foreign < shortest and not _SEALED.search(text)) or limit is None or len(text) <= limit:
        return ""
    kind = "zeros" if text.count(0) == foreign else "not text"
    cause = f"{len(text):,} bytes, {foreign:,} of them {kind}, where one record has at most {limit:,} so far"
    return f"is damaged and is more than one torn record: {cause}"


def split_lines(text: bytes) -> list[bytes]:
    """Split a physical line before each beginning of a record in it: where a newline was lost, there are several."""
    starts = [0, *(match.start() for match in _BEGIN.finditer(text, 1)), len(text)]
    return [text[a:b] for a, b in pairwise(starts)]


def _has_whole_line(text: bytes) -> bool:
    """Whether a whole line stands beside the damage: then a newline between lines was lost; a crash cannot cause it."""
    pieces = split_lines(text)
    return len(pieces) > 1 and any(unseal(piece.strip()) for piece in pieces)


def _line_lengths(payloads: Iterable[bytes]) -> tuple[int, int | None]:
    """How many bytes the shortest line has and the next can have, as far as the whole lines show it, else ``None``.

    That is the longest line that followed one of the last line's kind (its first field), and 20 % more.
    """
    count, kind, lengths = 0, b"", []
    followers: dict[bytes, int] = {}  # the longest, by the kind of the line before
    for payload in payloads:
        size = len(payload)
        if count:
            followers[kind] = max(followers.get(kind, 0), size)
        lengths.append(size)
        count, kind = count + 1, payload.partition(b",")[0]
    shortest = min(lengths, default=0) + SEAL_BYTES
    if count < FEW_LINES:
        return shortest, None
    return shortest, round(1.2 * (followers.get(kind, max(lengths)) + SEAL_BYTES))


def _damaged(path: Path, lines_before: int, problem: str) -> JournalDamaged:
    hint = (
        f"keep a copy of {path.name}; then delete that line and all later ones to continue from there, or start --fresh"
    )
    if path.name == TRAJECTORY:
        hint = f"`autoresearch repair {path.parent}` shows what is whole and how to continue; --fresh starts over"
    return JournalDamaged(f"{path}: line {lines_before + 1} {problem}", hint=hint)


def _wrong_number(path: Path, lines_before: int, seq: int) -> JournalDamaged:
    return _damaged(path, lines_before, f"has number {seq} where {lines_before} comes next")


def _not_written(path: Path, e: OSError) -> JournalError:
    why, hint = explain(e, path, "write")
    return JournalError(f"cannot write {path}: {why}", hint=hint)


class Journal:
    """Appends to a journal. After a failed write or fsync it refuses every append: the disk's content is unknown.

    So it does once the file is no longer what it wrote: removed, replaced, cut, or grown by another program.
    """

    def __init__(self, path: Path, first: bytes = b"") -> None:
        """Open for appending, create if absent, and move a torn tail to ``NAME.torn-TIME``.

        A file without a whole line is cut only if its content can be the beginning of a record that begins with
        ``first``. Raises ``JournalError``, ``JournalDamaged`` or ``LockHeld``.
        """
        self.path = path
        self._first_line = b'{"seq":0,' + first
        try:
            self._file = HeldFile(path)
        except OSError as e:
            raise _not_written(path, e) from e
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._file.close)
            try:
                self._repair()
            except OSError as e:
                raise _not_written(path, e) from e
            on_failure.pop_all()

    def _repair(self) -> None:
        lines = WholeLines(self._file.blocks())
        for _ in lines:
            pass
        self._next_seq, self._whole_bytes = lines.count, lines.size
        torn = self._tail(lines)
        self.torn_bytes = len(torn)
        self.removed_torn_files = 0
        self._broken = ""
        if torn:
            if not lines.count and not self._may_begin(torn):
                hint = "another program's file? move it away, or choose another --dir"
                raise JournalDamaged(f"{self.path}: line 1 is not a record of autoresearch; nothing was cut", hint=hint)
            self._file.keep_aside(f"{self.path.name}.torn-{time.time_ns()}", torn)
            self._file.cut(lines.size)
            self.removed_torn_files = self._file.remove_old("torn", KEPT_TORN_FILES)
        os.fsync(self._file.folder)

    def _tail(self, lines: WholeLines) -> bytes:
        """The bytes after the whole lines, which one append can have left. Raises ``JournalDamaged`` for others."""
        tail = b"".join(self._file.blocks(lines.size)) if lines.stopped else lines.rest
        next_line = unseal(tail.partition(b"\n")[0]) if lines.stopped else None
        if next_line:
            raise _wrong_number(self.path, lines.count, next_line[0])
        if problem := tail_problem(tail, self):
            raise _damaged(self.path, lines.count, problem)
        return tail

    def _may_begin(self, torn: bytes) -> bool:
        """Whether a crash can have left ``torn`` of the first record: its beginning, and zeros for lost data."""
        found = torn.rstrip(b"\0")
        return found.startswith(self._first_line) or self._first_line.startswith(found)

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return self._file.size

    def append(self, payload: str) -> int:
        """Write one JSON object durably and return its sequence number. Raises ``JournalError``.

        The file is checked before the write too, so that a record is not added to what another program changed.
        """
        if self._broken:
            raise JournalError(f"{self.path} accepts no more records: {self._broken}")
        line = seal(self._next_seq, payload)
        self.check(line)
        size_before = self.size
        try:
            self._file.write(line)
        except OSError as e:
            self._broken = f"writing failed: {e.strerror}"
            self._truncate(size_before)
            raise JournalError(
                f"cannot write {self.path}: {e.strerror}", hint="free disk space, then start again"
            ) from e
        try:
            os.fsync(self._file.fd)
        except OSError as e:  # never retried: the kernel may drop the pages and report success next time
            self._broken = f"fsync failed: {e.strerror}"
            raise JournalError(f"cannot make {self.path} durable: {e.strerror}", hint="see the system log") from e
        self.check(line)
        self._next_seq += 1
        return self._next_seq - 1

    def check(self, line: bytes = b"") -> None:
        """Raise ``JournalError`` if the file is no longer what was written, with ``line`` kept in a file of its own."""
        if not (what := self._file.displacement()):
            return
        self._broken = f"it {what}"
        aside = f"{self.path.name}.unplaced-{time.time_ns()}"
        kept = "nothing more is written to it"
        try:
            if line:
                self._file.keep_aside(aside, line)
                kept = f"the record to be written is kept in {aside}"
        except OSError as e:
            kept = f"the record to be written is lost: {aside}: {e.strerror}"
        hint = "stop the program that changed it; restore the file from a copy if records are missing; then start again"
        raise JournalError(f"{self.path} {what}; {kept}", hint=hint)

    def _truncate(self, size: int) -> None:
        """Cut a half-written line off; if that fails too, the next start does it."""
        with contextlib.suppress(OSError):
            self._file.cut(size)

    def close(self) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        """Read the payloads that the file held when it was opened. Raises ``JournalError``."""
        lines = WholeLines(self._file.blocks(end=self._whole_bytes))
        try:
            yield from lines
        except OSError as e:
            raise JournalError(f"cannot read {self.path}: {e.strerror}") from e
        if lines.size != self._whole_bytes:
            raise JournalError(f"{self.path} changed while it was read", hint="stop the program that changed it")
