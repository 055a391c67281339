"""Decode the payloads of a journal into records. An error names the file and the line, counted from 1."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from autoresearch.core.records import decode
from autoresearch.errors import JournalDamaged
from autoresearch.storage.survey import Line, Problem

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


def decode_whole(lines: Iterable[Line], decoder: Callable[[bytes], Any] = decode) -> tuple[list[Any], list[Problem]]:
    """Return the records of a trajectory's whole lines, and a problem for each that this version cannot decode."""
    records: list[Any] = []
    problems: list[Problem] = []
    for line in lines:
        try:
            records.append(decoder(line.payload))
        except JournalDamaged as e:
            problems.append(Problem(line.number, f"is left out: {e.what}; {OTHER_VERSION}"))
    return records, problems


def decode_trajectory(payloads: Iterable[bytes], path: Path, first_line: int = 1) -> Iterator[Any]:
    """Yield every record of the trajectory at ``path``, for a command that continues its run.

    Raises ``JournalDamaged`` with the line number.
    """
    return decode_lines(payloads, decode, path, hint=fresh_hint("run"), first_line=first_line)


def fresh_hint(command: str) -> str:
    """What to try where ``autoresearch COMMAND`` cannot decode the log that it would continue."""
    return f"was it written by a newer version? `autoresearch {command} --fresh` starts over and keeps it in archive/"
