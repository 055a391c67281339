"""Decode the payloads of a journal into records. An error names the file and the line, counted from 1."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from autoresearch.core.records import decode
from autoresearch.errors import JournalDamaged

T = TypeVar("T")

OTHER_VERSION = "its checksum is right, so another version of autoresearch wrote it: read it with that one"


def decode_lines(
    payloads: Iterable[bytes], decoder: Callable[[bytes], T], file: Path | str, *, hint: str, first_line: int = 1
) -> Iterator[T]:
    """Yield one record per payload; ``first_line`` is the number of the first payload's line in ``file``.

    Raises ``JournalDamaged`` with file, line and ``hint`` for a payload that ``decoder`` refuses.
    """
    for line, payload in enumerate(payloads, first_line):
        try:
            record = decoder(payload)
        except JournalDamaged as e:
            raise JournalDamaged(f"{file}: line {line}: {e.what}", hint=hint) from e
        yield record


def decode_trajectory(payloads: Iterable[bytes], path: Path) -> list[Any]:
    """Return every record of the trajectory at ``path``, for a command that continues its run.

    Raises ``JournalDamaged`` with the line number.
    """
    return list(decode_lines(payloads, decode, path, hint=fresh_hint("run")))


def fresh_hint(command: str) -> str:
    """What to try where ``autoresearch COMMAND`` cannot decode the log that it would continue."""
    return f"was it written by a newer version? `autoresearch {command} --fresh` starts over and keeps it in archive/"
