"""Read a growing trajectory incrementally."""

from __future__ import annotations

import codecs
import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from autoresearch.core.records import Event, decode
from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.hints import command, hint_after
from autoresearch.report.load import LINE_START
from autoresearch.storage.decode import decode_whole
from autoresearch.storage.encoding import BEGINS_WITH_BOM, describe_wide, wide_encoding
from autoresearch.storage.sealed_line import unseal
from autoresearch.storage.survey import Line, LineReader, Problem, shortened
from autoresearch.storage.torn_tail import MAX_BOM_BYTES, PRINTABLE, tail_problem

POLL_BYTES = 4 << 20  # read at once, so that the records of a long run are not in memory together


@dataclass(frozen=True, slots=True)
class NewRecords:
    """``records`` that are new. If ``replaced``, all records of earlier polls are obsolete.

    ``more``: the file is long, and the next poll returns further ones at once.
    """

    replaced: bool
    records: list[Event]
    more: bool = False

    def __bool__(self) -> bool:
        return self.replaced or bool(self.records)


def _open_without_waiting(path: Path) -> BinaryIO:
    """Open a regular file; a pipe in its place would block the reader for ever. Raises ``OSError``."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return os.fdopen(fd, "rb")


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
        self._reader = LineReader()
        self._unknown: list[Problem] = []  # lines that this version cannot decode
        self._known_error: tuple[tuple[int, ...], JournalError] | None = None

    def poll(self) -> NewRecords:
        """The records since the last poll. A torn last line is left for the next one: it may still be written.

        A damaged line before the tail is skipped; ``warnings`` names it. Raises ``JournalError`` for a file that
        cannot be read or is not a trajectory of this program, again at every poll until the file changes.
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

    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the lines read so far."""
        return (*shortened([*self._reader.problems, *self._unknown]), *self._reader.notes())

    def close(self) -> None:
        """Close the file; the next poll starts at the beginning."""
        self._reset()

    def _poll(self, now: os.stat_result) -> NewRecords:
        same = self._file is not None and os.path.samestat(now, os.fstat(self._file.fileno()))
        replaced = self._reset() if not same or now.st_size < self._offset else False
        file = self._file = self._file or _open_without_waiting(self.path)
        if now.st_size == self._size:
            return NewRecords(replaced, [])
        file.seek(self._offset)
        data = file.read(min(POLL_BYTES, max(0, now.st_size - self._offset)))
        if more := self._offset + len(data) < now.st_size and b"\n" in data:
            data = data[: data.rindex(b"\n") + 1]
        else:
            data += file.read()
        records = self._read(file, data, is_end=not more)
        self._size = -1 if more else now.st_size
        return NewRecords(replaced, records, more)

    def _reset(self) -> bool:
        """Close the file and start at the beginning; return whether any record had been read."""
        if self._file is not None:
            self._file.close()
        had_records = self._count > 0
        self._file, self._offset, self._count, self._size, self._known_error = None, 0, 0, -1, None
        self._reader, self._unknown = LineReader(), []
        return had_records

    def _remember_error(self, identity: tuple[int, ...], error: JournalError) -> None:
        self._reset()
        self._known_error = (identity, error)

    def _read(self, file: BinaryIO, data: bytes, *, is_end: bool) -> list[Event]:
        *lines, torn = data.split(b"\n")
        if not lines and len(torn) > MAX_BOM_BYTES:  # one line without its end, which may still be written
            self._check_encoding(torn)
            if torn.startswith(codecs.BOM_UTF8):
                raise self._edited(BEGINS_WITH_BOM)
        whole: list[Line] = []
        for n, line in enumerate(lines, 1):
            if is_end and n == len(lines) and not torn and self._is_torn(line, file):
                break  # the next start of the run removes it
            self._check_kind(line)
            whole += self._reader.take(line)
            self._offset += len(line) + 1
            self._count += 1
        records, unknown = decode_whole(whole, decode)
        self._unknown += unknown
        return records

    def _is_torn(self, line: bytes, file: BinaryIO) -> bool:
        """Whether the last line can be one torn append; its length is compared with the whole lines before it."""
        if unseal(line) or not (self._count or line.startswith(LINE_START)):
            return False
        before: list[bytes] = []
        if line.translate(None, PRINTABLE):  # only then the length counts
            file.seek(0)
            before = [found[1] for found in map(unseal, file.read(self._offset).split(b"\n")) if found]
        return not tail_problem(line + b"\n", before)

    def _check_kind(self, line: bytes) -> None:
        """Raise ``JournalError`` for a first line of something else than a trajectory."""
        if self._count == 0:
            self._check_encoding(line)
        first = line.removeprefix(codecs.BOM_UTF8).lstrip()
        if self._count == 0 and not first.startswith(LINE_START) and first.strip(b"\0 \r"):
            hint = "`autoresearch status` and `report` read the origin's log too"
            raise JournalError(f"{self.path.name} is not a trajectory of this program", hint=hint)

    def _check_encoding(self, line: bytes) -> None:
        """Raise ``JournalDamaged`` for a beginning in UTF-16 or UTF-32."""
        if encoding := wide_encoding(line):
            raise self._edited(describe_wide(encoding))

    def _edited(self, what: str) -> JournalDamaged:
        repair, status = command("repair", self.path.parent, "--yes"), command("status", self.path.parent)
        return JournalDamaged(
            f"{self.path.name} {what}", hint=f"`{repair}` undoes it without loss; `{status}` shows the run"
        )
