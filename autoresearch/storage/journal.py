"""An append-only JSON Lines file that loses no acknowledged record and repairs nothing by guessing.

A line is the payload's JSON with ``"seq"`` added in front and ``"crc"`` (CRC-32 of everything before it) added at the
end. There is one writer at a time: the file is locked. An append returns once the line is on disk and the file is still
the one at its path.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.hints import LIMITS, NO_SPACE, command, explain
from autoresearch.storage.held_file import HeldFile
from autoresearch.storage.run_dir import ENVELOPE, EXCHANGES, TRAJECTORY
from autoresearch.storage.sealed_line import Prefix, WholeLines
from autoresearch.storage.sealed_line import seal as seal
from autoresearch.storage.sealed_line import unseal as unseal
from autoresearch.storage.torn_tail import tail_problem

KEPT_FILES = 20  # of torn tails, and of records without a place, beside one journal


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


def _damaged(path: Path, lines_before: int, problem: str) -> JournalDamaged:
    hint = (
        f"keep a copy of {path.name}; then delete that line and all later ones to continue from there, "
        "or start in another directory"
    )
    if path.name in (TRAJECTORY, EXCHANGES, ENVELOPE):
        repair = command("repair", path.parent)
        hint = f"`{repair}` shows what is whole and how to continue; --fresh starts over"
    return JournalDamaged(f"{path}: line {lines_before + 1} {problem}", hint=hint)


def _wrong_number(path: Path, lines_before: int, seq: int) -> JournalDamaged:
    return _damaged(path, lines_before, f"has number {seq} where {lines_before} comes next")


def _not_written(path: Path, e: OSError) -> JournalError:
    why, hint = explain(e, path, "write")
    return JournalError(f"cannot write {path}: {why}", hint=hint, no_space=e.errno in NO_SPACE)


class Journal:
    """Appends to a journal. After a failed write or fsync it refuses every append: the disk's content is unknown.

    So it does once the file is no longer what it wrote: removed, replaced, cut, or grown by another program. Only where
    a full disk or quota was the cause, and the half-written line could be cut off again, may the append be repeated.
    """

    def __init__(
        self,
        path: Path,
        first: bytes = b"",
        reserve_bytes: int = 0,
        verified: Prefix | None = None,
        mode: int = 0o644,
    ) -> None:
        """Open for appending, create if absent, and move a torn tail to ``NAME.torn-TIME``.

        Every line is verified. Where the file begins with ``verified``, its hash stands for the lines up to there;
        ``self.verified`` is then that prefix, else ``None``.

        A file without a whole line is cut only if its content can be the beginning of a record that begins with
        ``first``. Disk space for the next ``reserve_bytes`` is allocated ahead, where the file system can do that.
        ``mode`` is that of a new file. Raises ``JournalError``, ``JournalDamaged`` or ``LockHeld``.
        """
        self.path = path
        self._reserve_bytes = reserve_bytes
        self._first_line = b'{"seq":0,' + first
        try:
            self._file = HeldFile(path, mode)
        except OSError as e:
            raise _not_written(path, e) from e
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._file.close)
            try:
                self._repair(verified)
            except OSError as e:
                raise _not_written(path, e) from e
            on_failure.pop_all()

    def _repair(self, verified: Prefix | None) -> None:
        after = WholeLines.after(verified, self._file.blocks)
        lines = after or WholeLines(self._file.blocks())
        self.verified = verified if after else None
        for _ in lines:
            pass
        self._next_seq, self._whole_bytes = lines.count, lines.size
        torn = self._tail(lines)
        self.torn_bytes = len(torn)
        self._removed = ""
        self._broken = ""
        if torn:
            if not lines.count and not self._may_begin(torn):
                hint = "another program's file? move it away, or choose another --dir"
                raise JournalDamaged(f"{self.path}: line 1 is not a record of autoresearch; nothing was cut", hint=hint)
            self._file.keep_aside(f"{self.path.name}.torn-{time.time_ns()}", torn)
            self._file.cut(lines.size)
            self._removed = self._file.remove_old("torn", KEPT_FILES)
        os.fsync(self._file.folder)
        self._file.reserve(self._reserve_bytes)

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

    def describe_removed(self) -> str:
        """Which old files of torn tails were removed when it was opened; empty for none."""
        return self._removed

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
        why, hint = explain(e, self.path, "write")
        if e.errno in NO_SPACE and self._cut(size, durably=False):  # the line that is written next is synced with it
            return JournalError(f"{what}: {why}", hint=hint, no_space=True)
        self._broken = f"{call} failed: {why}"
        if call == "writing":
            self._cut(size)  # if that fails too, the next start does it
        if e.errno not in NO_SPACE | LIMITS:
            hint = "see the system log (journalctl -k)"
        return JournalError(f"{what}: {why}", hint=hint)

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
                kept = f"the record to be written is kept in {aside}{self._remove_old_unplaced()}"
        except OSError as e:
            kept = f"the record to be written is lost: {aside}: {e.strerror}"
        hint = "stop the program that changed it; restore the file from a copy if records are missing; then start again"
        raise JournalError(f"{self.path} {what}; {kept}", hint=hint)

    def _remove_old_unplaced(self) -> str:
        """What was removed of earlier records without a place, as the end of a sentence."""
        with contextlib.suppress(OSError):
            if removed := self._file.remove_old("unplaced", KEPT_FILES):
                return f" ({removed})"
        return ""

    def close(self) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        """Read the payloads that the file held when it was opened. Raises ``JournalError``."""
        return iter(self.lines_after(None))

    def lines_after(self, prefix: Prefix | None) -> WholeLines:
        """What the file held when it was opened, after ``prefix``. Reading it raises ``JournalError``."""

        def blocks(start: int, end: int | None) -> Iterator[bytes]:
            try:
                yield from self._file.blocks(start, self._whole_bytes if end is None else end)
            except OSError as e:
                raise JournalError(f"cannot read {self.path}: {e.strerror}") from e

        return WholeLines.after(prefix, blocks) or WholeLines(blocks(0, None))

    def payload_at(self, place: int) -> bytes:
        """The payload of the line that begins at ``place``. Raises ``JournalError``."""
        try:
            line = unseal(self._file.line_at(place))
        except OSError as e:
            raise JournalError(f"cannot read {self.path}: {e.strerror}") from e
        if line is None:
            raise JournalError(f"{self.path} changed while it was read", hint="stop the program that changed it")
        return line[1]
