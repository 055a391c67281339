"""The closed iterations of a run, kept small: as text, a record takes a tenth of the memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from autoresearch.core.records import IterationRecord, decode


class Iterations(Sequence[IterationRecord]):
    """A sequence of records in which one that came with its payload is decoded again each time it is read.

    Whatever reads every iteration each time it is called reads ``Trajectory.results`` instead.
    """

    __slots__ = ("_kept",)

    def __init__(self, kept: Iterable[IterationRecord | bytes] = ()) -> None:
        self._kept: list[IterationRecord | bytes] = list(kept)

    def append(self, record: IterationRecord, payload: bytes = b"") -> None:
        """Add a record; ``payload`` is its JSON, if it is at hand."""
        self._kept.append(payload or record)

    @overload
    def __getitem__(self, place: int) -> IterationRecord: ...

    @overload
    def __getitem__(self, place: slice) -> Iterations: ...

    def __getitem__(self, place: int | slice) -> IterationRecord | Iterations:
        kept = self._kept[place]
        return Iterations(kept) if isinstance(kept, list) else _decoded(kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[IterationRecord]:
        return map(_decoded, self._kept)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))


def _decoded(kept: IterationRecord | bytes) -> IterationRecord:
    record: IterationRecord = decode(kept) if isinstance(kept, bytes) else kept
    return record
