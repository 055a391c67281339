"""An append-only JSON Lines file that loses no acknowledged record and repairs nothing by guessing.

A line is the payload's JSON with ``"seq"`` added in front and ``"crc"`` (CRC-32 of everything before it) added at the
end. There is one writer at a time: the file is locked. An append returns once the line is on disk and the file is still
the one at its path.
"""

from __future__ import annotations

import codecs
import contextlib
import math
import os
import re
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.hints import NO_SPACE, command, explain, hint_after
from autoresearch.storage.encoding import BEGINS_WITH_BOM, describe_wide, wide_encoding
from autoresearch.storage.held_file import HeldFile
from autoresearch.storage.run_dir import ENVELOPE, EXCHANGES, TRAJECTORY

_LINE = re.compile(rb'\{"seq":(\d{1,18}),(.*),"crc":"([0-9a-f]{8})"\}', re.DOTALL)
_BEGIN = re.compile(rb'\{"seq":')
_SEALED = re.compile(rb'"crc":"[0-9a-f]{8}"\}$')
_OBJECT = re.compile(r"\{[^\n]+\}")
KEPT_TORN_FILES = 20  # beside one journal
MAX_BOM_BYTES = 4
PRINTABLE = bytes(range(0x20, 0x7F))  # a record is ASCII without control characters
FEW_LINES = 4  # fewer do not show how long a line can be
SEAL_BYTES = 30  # of a line beside its payload: number, checksum, newline


def seal(seq: int, payload: str) -> bytes:
    """Build the line of one JSON object: sequence number first, then the payload, the checksum and a newline.

    Raises ``ValueError`` for a payload that could not be read back: an empty object, or one on several lines.
    """
    if not _OBJECT.fullmatch(payload):
        raise ValueError(f"a payload must be a JSON object with at least one field, on one line, not {payload[:80]!r}")
    body = f'{{"seq":{seq},{payload[1:-1]}'.encode()
    return body + b',"crc":"%08x"}\n' % zlib.crc32(body)


def unseal(line: bytes) -> tuple[int, bytes] | None:
    """Return sequence number and payload of a line (without its newline), or ``None`` if the line is damaged."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    body = line[: match.start(3) - len(b',"crc":"')]
    return (int(match[1]), b"{" + match[2] + b"}") if zlib.crc32(body) == int(match[3], 16) else None


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
            raise _damaged(path, len(payloads), f"has number {seq} where {len(payloads)} comes next")
        payloads.append(payload)
        offset = end + 1
    tail = data[offset:]
    if problem := tail_problem(tail, payloads):
        raise _damaged(path, len(payloads), problem)
    return Contents(payloads, offset, tail)


def tail_problem(tail: bytes, payloads: Sequence[bytes]) -> str:
    """Why ``tail``, the bytes after the last whole line, is more than one torn append; empty if it can be one.

    Blank lines, as an editor leaves them at the end, are not damage.
    """
    text, first = tail.rstrip(), tail.partition(b"\n")[0]
    if not text:
        return ""
    if (encoding := wide_encoding(tail)) and len(text) > MAX_BOM_BYTES:
        return describe_wide(encoding)
    if tail.startswith(codecs.BOM_UTF8):
        return BEGINS_WITH_BOM
    if first.endswith(b"\r") and unseal(first.rstrip()):
        return "ends in CRLF, which an editor writes"
    if not first.strip():
        return "is damaged: it is blank and is not the last"
    if b"\n" in text or _has_whole_line(text):
        return "is damaged and is not the last"
    return _too_long_for_one(text, payloads)


def _too_long_for_one(text: bytes, payloads: Sequence[bytes]) -> str:
    """Why the damaged ``text`` at the end must be several records; empty where it can be one.

    A crash leaves zeros only in the one line that was not yet acknowledged. A longer block has overwritten others.
    """
    foreign = len(text.translate(None, PRINTABLE))
    shortest = min(map(len, payloads), default=0) + SEAL_BYTES
    if not foreign or (foreign < shortest and not _SEALED.search(text)):
        return ""
    if len(text) <= (limit := _longest_append(payloads)):
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


def _longest_append(payloads: Sequence[bytes]) -> float:
    """How many bytes the next line can have, as far as the whole lines show it.

    That is the longest line that followed one of the last line's kind (its first field), and 20 % more.
    """
    if len(payloads) < FEW_LINES:
        return math.inf
    kinds = [payload.partition(b",")[0] for payload in payloads]
    followers = [len(after) for kind, after in zip(kinds, payloads[1:], strict=False) if kind == kinds[-1]]
    return round(1.2 * (max(followers or map(len, payloads)) + SEAL_BYTES))


def _damaged(path: Path, lines_before: int, problem: str) -> JournalDamaged:
    hint = (
        f"keep a copy of {path.name}; then delete that line and all later ones to continue from there, or start --fresh"
    )
    if path.name in (TRAJECTORY, EXCHANGES, ENVELOPE):
        repair = command("repair", path.parent)
        hint = f"`{repair}` shows what is whole and how to continue; --fresh starts over"
    return JournalDamaged(f"{path}: line {lines_before + 1} {problem}", hint=hint)


def _not_written(path: Path, e: OSError) -> JournalError:
    why, hint = explain(e, path, "write")
    return JournalError(f"cannot write {path}: {why}", hint=hint, no_space=e.errno in NO_SPACE)


class Journal:
    """Appends to a journal. After a failed write or fsync it refuses every append: the disk's content is unknown.

    So it does once the file is no longer what it wrote: removed, replaced, cut, or grown by another program. Only where
    a full disk or quota was the cause, and the half-written line could be cut off again, may the append be repeated.
    """

    def __init__(self, path: Path, first: bytes = b"", reserve_bytes: int = 0) -> None:
        """Open for appending, create if absent, and move a torn tail to ``NAME.torn-TIME``.

        A file without a whole line is cut only if its content can be the beginning of a record that begins with
        ``first``. Disk space for the next ``reserve_bytes`` is allocated ahead, where the file system can do that.
        Raises ``JournalError``, ``JournalDamaged`` or ``LockHeld``.
        """
        self.path = path
        self._reserve_bytes = reserve_bytes
        self._first_line = b'{"seq":0,' + first
        try:
            self._file = HeldFile(path)
        except OSError as e:
            raise _not_written(path, e) from e
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._file.close)
            try:
                self._repair(parse(self._file.read(), path))
            except OSError as e:
                raise _not_written(path, e) from e
            on_failure.pop_all()

    def _repair(self, contents: Contents) -> None:
        self.payloads = contents.payloads
        self.torn_bytes = len(contents.torn)
        self.removed_torn_files = 0
        self._next_seq = len(contents.payloads)
        self._broken = ""
        if contents.torn:
            if not contents.payloads and not self._may_begin(contents.torn):
                hint = "another program's file? move it away, or choose another --dir"
                raise JournalDamaged(f"{self.path}: line 1 is not a record of autoresearch; nothing was cut", hint=hint)
            self._file.keep_aside(f"{self.path.name}.torn-{time.time_ns()}", contents.torn)
            self._file.cut(contents.whole_bytes)
            self.removed_torn_files = self._file.remove_old("torn", KEPT_TORN_FILES)
        os.fsync(self._file.folder)
        self._file.reserve(self._reserve_bytes)

    def _may_begin(self, torn: bytes) -> bool:
        """Whether a crash can have left ``torn`` of the first record: its beginning, and zeros for lost data."""
        found = torn.rstrip(b"\0")
        return found.startswith(self._first_line) or self._first_line.startswith(found)

    def describe_removed(self) -> str:
        """Which old files of torn tails were removed when it was opened; empty for none."""
        if not (removed := self.removed_torn_files):
            return ""
        return f"{removed} old files {self.path.name}.torn-* were removed; the newest {KEPT_TORN_FILES} stay"

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return self._file.size

    def append(self, payload: str) -> int:
        """Write one JSON object durably and return its sequence number. Raises ``JournalError``.

        After an error with ``no_space`` the append may be repeated. The file is checked before the write too, so that
        a record is not added to what another program changed.
        """
        if self._broken:
            raise JournalError(f"{self.path} accepts no more records: {self._broken}")
        line = seal(self._next_seq, payload)
        self.check(line)
        size_before = self.size
        try:
            self._file.write(line)
        except OSError as e:
            raise self._after_failure(e, size_before, "writing", f"cannot write {self.path}") from e
        try:
            os.fsync(self._file.fd)
        except OSError as e:  # never retried: the kernel may drop the pages and report success next time
            raise self._after_failure(e, size_before, "fsync", f"cannot make {self.path} durable") from e
        self.check(line)
        self._next_seq += 1
        self._file.reserve(self._reserve_bytes)
        return self._next_seq - 1

    def _after_failure(self, e: OSError, size: int, call: str, what: str) -> JournalError:
        """Cut a half-written line off; only after a full disk, and only where that succeeded, is the file usable."""
        if e.errno in NO_SPACE and self._cut(size, durably=False):  # the line that is written next is synced with it
            return JournalError(f"{what}: {e.strerror}", hint=hint_after(e, self.path, "write"), no_space=True)
        self._broken = f"{call} failed: {e.strerror}"
        if call == "writing":
            self._cut(size)  # if that fails too, the next start does it
        hint = hint_after(e, self.path, "write") if e.errno in NO_SPACE else "see the system log (journalctl -k)"
        return JournalError(f"{what}: {e.strerror}", hint=hint)

    def _cut(self, size: int, *, durably: bool = True) -> bool:
        try:
            self._file.cut(size, durably=durably)
        except OSError:
            return False
        return True

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

    def close(self) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the payloads that the file held when it was opened."""
        return iter(self.payloads)
