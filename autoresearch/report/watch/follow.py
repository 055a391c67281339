"""Read a growing trajectory incrementally."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from autoresearch.core.records import Event, Meta, decode
from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.hints import hint_after
from autoresearch.report.load import LINE_START
from autoresearch.storage import journal
from autoresearch.storage.decode import decode_lines

DAMAGED_HINT = "`autoresearch run` reports how to repair it"


@dataclass(frozen=True, slots=True)
class NewRecords:
    """``records`` that are new. If ``replaced``, all records of earlier polls are obsolete."""

    replaced: bool
    records: list[Event]

    def __bool__(self) -> bool:
        return self.replaced or bool(self.records)


class Follower:
    """Reads the trajectory at ``path``, which may appear, grow, be replaced and disappear.

    The file stays open, so that no new file can get its inode number: a run that was replaced (``--fresh``, or a
    directory that was deleted and created again) is always distinguished from one that grew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._offset = 0  # bytes up to the end of the last whole line
        self._count = 0  # lines up to there
        self._size = -1  # of the file when it was last read
        self._known_error: tuple[tuple[int, ...], JournalError] | None = None

    def poll(self) -> NewRecords:
        """The records since the last poll. A torn last line is left for the next one: it may still be written.

        Raises ``JournalDamaged`` naming the line for damage before the tail, and ``JournalError`` for a file that
        cannot be read or is not a trajectory of this program; both again at every poll until the file changes.
        """
        identity: tuple[int, ...] = ()
        try:
            now = os.stat(self.path)
            identity = (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns)
            if self._known_error and self._known_error[0] == identity:
                raise self._known_error[1]
            return self._poll(now)
        except (FileNotFoundError, NotADirectoryError):
            return NewRecords(self._reset(), [])
        except JournalError as e:
            self._remember_error(identity, e)
            raise
        except OSError as e:
            error = JournalError(f"cannot read {self.path.name}: {e.strerror}", hint=hint_after(e, self.path, "read"))
            self._remember_error(identity, error)
            raise error from e

    def close(self) -> None:
        """Close the file; the next poll starts at the beginning."""
        self._reset()

    def _poll(self, now: os.stat_result) -> NewRecords:
        same = self._file is not None and os.path.samestat(now, os.fstat(self._file.fileno()))
        replaced = self._reset() if not same or now.st_size < self._offset else False
        file = self._file = self._file or self.path.open("rb")
        if now.st_size == self._size:
            return NewRecords(replaced, [])
        records = self._read(file)
        self._size = now.st_size
        return NewRecords(replaced, records)

    def _reset(self) -> bool:
        """Close the file and start at the beginning; return whether any record had been read."""
        if self._file is not None:
            self._file.close()
        had_records = self._count > 0
        self._file, self._offset, self._count, self._size, self._known_error = None, 0, 0, -1, None
        return had_records

    def _remember_error(self, identity: tuple[int, ...], error: JournalError) -> None:
        self._reset()
        self._known_error = (identity, error)

    def _read(self, file: BinaryIO) -> list[Event]:
        file.seek(self._offset)
        *lines, torn = file.read().split(b"\n")
        records: list[Event] = []
        for n, line in enumerate(lines, 1):
            found = journal.unseal(line)
            if found is None and n == len(lines) and not torn and (self._count or line.startswith(LINE_START)):
                break  # the last append was torn: the next start of the run removes it
            records.append(self._record(found, line))
            self._offset += len(line) + 1
            self._count += 1
        return records

    def _record(self, found: tuple[int, bytes] | None, line: bytes) -> Event:
        number = self._count + 1
        if found is None:
            if number == 1 and not line.startswith(LINE_START):
                hint = "`autoresearch status` and `report` read the origin's log too"
                raise JournalError(f"{self.path.name} is not a trajectory of this program", hint=hint)
            raise self._damaged(f"line {number} is damaged and is not the last")
        seq, payload = found
        if seq != number - 1:
            raise self._damaged(f"line {number} has number {seq}, expected {number - 1}")
        record: Event = next(decode_lines([payload], decode, self.path.name, hint=DAMAGED_HINT, first_line=number))
        if number == 1 and not isinstance(record, Meta):
            raise self._damaged("line 1 is not a meta record")
        return record

    def _damaged(self, what: str) -> JournalDamaged:
        return JournalDamaged(f"{self.path.name}: {what}", hint=DAMAGED_HINT)
