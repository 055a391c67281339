"""A trajectory that grows, read from where the last look ended."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from autoresearch.core.records import Event, Meta, decode
from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.storage import journal
from autoresearch.storage.decode import decode_lines

DAMAGED_HINT = "`autoresearch run` says what to do about it"
BEGINNING = b'{"seq":'  # of each of our lines


@dataclass(frozen=True, slots=True)
class News:
    """``records`` that are new; with ``anew`` what was read before is gone, and these are all."""

    anew: bool
    records: list[Event]

    def __bool__(self) -> bool:
        return self.anew or bool(self.records)


class Follower:
    """Reads the trajectory at ``path``, which may come, grow, be replaced and go.

    The file stays open: while it does, no new file can have its inode number, so a run that was replaced (``--fresh``,
    or a directory that was deleted and made again) is always told from one that grew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._at = 0  # behind the last whole line
        self._count = 0  # lines up to there
        self._size = -1  # when it was last read
        self._refused: tuple[tuple[int, ...], JournalError] | None = None

    def poll(self) -> News:
        """What is new since the last look. A torn last line is left for the next one: its writer may be in it.

        Raises ``JournalDamaged`` naming the line for damage before the tail, and ``JournalError`` for a file that
        cannot be read or is no trajectory of this program, again at every look until the file changes.
        """
        identity: tuple[int, ...] = ()
        try:
            now = os.stat(self.path)
            identity = (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns)
            if self._refused and self._refused[0] == identity:
                raise self._refused[1]
            return self._poll(now)
        except (FileNotFoundError, NotADirectoryError):
            return News(self._forget(), [])
        except JournalError as e:
            self._refuse(identity, e)
            raise
        except OSError as e:
            error = JournalError(f"cannot read {self.path.name}: {e.strerror}", hint="see its permissions")
            self._refuse(identity, error)
            raise error from e

    def close(self) -> None:
        """Let the file go; the next look begins anew."""
        self._forget()

    def _poll(self, now: os.stat_result) -> News:
        same = self._file is not None and os.path.samestat(now, os.fstat(self._file.fileno()))
        anew = self._forget() if not same or now.st_size < self._at else False
        file = self._file = self._file or self.path.open("rb")
        if now.st_size == self._size:
            return News(anew, [])
        records = self._read(file)
        self._size = now.st_size
        return News(anew, records)

    def _forget(self) -> bool:
        """Begin anew; whether there was anything."""
        if self._file is not None:
            self._file.close()
        had = self._count > 0
        self._file, self._at, self._count, self._size, self._refused = None, 0, 0, -1, None
        return had

    def _refuse(self, identity: tuple[int, ...], error: JournalError) -> None:
        self._forget()
        self._refused = (identity, error)

    def _read(self, file: BinaryIO) -> list[Event]:
        file.seek(self._at)
        *lines, torn = file.read().split(b"\n")
        records: list[Event] = []
        for n, line in enumerate(lines, 1):
            found = journal.unseal(line)
            if found is None and n == len(lines) and not torn and (self._count or line.startswith(BEGINNING)):
                break  # the last append, torn inside: the next start of the run cuts it off
            records.append(self._record(found, line))
            self._at += len(line) + 1
            self._count += 1
        return records

    def _record(self, found: tuple[int, bytes] | None, line: bytes) -> Event:
        number = self._count + 1
        if found is None:
            if number == 1 and not line.startswith(BEGINNING):
                hint = "`autoresearch status` and `report` read the origin's log too"
                raise JournalError(f"{self.path.name} is no trajectory of this program", hint=hint)
            raise self._damaged(f"line {number} is damaged and is not the last")
        seq, payload = found
        if seq != number - 1:
            raise self._damaged(f"line {number} has number {seq} where {number - 1} comes next")
        record: Event = next(decode_lines([payload], decode, self.path.name, hint=DAMAGED_HINT, first_line=number))
        if number == 1 and not isinstance(record, Meta):
            raise self._damaged("line 1 is no meta record")
        return record

    def _damaged(self, how: str) -> JournalDamaged:
        return JournalDamaged(f"{self.path.name}: {how}", hint=DAMAGED_HINT)
