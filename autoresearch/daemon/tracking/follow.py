"""The records of a trajectory that another process appends to, as they come. Nothing is locked or changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from autoresearch.core.records import Event, decode
from autoresearch.errors import JournalDamaged
from autoresearch.storage.sealed_line import unseal


def follow(path: Path, wait: Callable[[], bool]) -> Iterator[Event]:
    """Yield every record, then those that are appended.

    ``wait`` is called between two looks at the file; once it returns true, one more look is the last. A line that is
    not whole yet is read again from its beginning: the writer may take it back when the disk is full.
    Raises ``JournalDamaged`` with the number of a line that is damaged, and ``OSError``; an absent file is empty.
    """
    place, count, over = 0, 0, False
    while True:
        for line in _whole_lines(path, place):
            found = unseal(line[:-1])
            if found is None or found[0] != count:
                hint = "`autoresearch status RUN` says more"
                raise JournalDamaged(f"{path}: line {count + 1} is damaged or has another number", hint=hint)
            place, count = place + len(line), count + 1
            yield decode(found[1])
        if over:
            return
        over = wait()


def _whole_lines(path: Path, place: int) -> Iterator[bytes]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(place)
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield line
