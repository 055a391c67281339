"""The closed iterations of a run, kept small: as their text or their place in the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

from autoresearch.core.records import IterationRecord, decode

Source = bytes | int  # the JSON of a record, or where its line begins in the journal


class Iterations(Sequence[IterationRecord]):
    """A sequence of records in which one that was added with its source is decoded again each time it is read.

    Whatever reads every iteration each time it is called reads ``Trajectory.results`` instead.
    """

    __slots__ = ("_fetch", "_kept")

    def __init__(
        self, kept: Iterable[IterationRecord | Source] = (), fetch: Callable[[int], bytes] | None = None
    ) -> None:
        """``fetch`` returns the JSON of the record at a place in the journal; without it there are no places."""
        self._kept: list[IterationRecord | Source] = list(kept)
        self._fetch = fetch

    def append(self, record: IterationRecord, source: Source | None = None) -> None:
        """Add a record; its ``source`` is kept in its place."""
        self._kept.append(record if source is None else source)

    def extend(self, places: Iterable[int]) -> None:
        """Add the records at ``places`` in the journal."""
        self._kept.extend(places)

    def places(self) -> list[int]:
        """The places of the records. Raises ``ValueError`` if one was added without its place."""
        places = [kept for kept in self._kept if isinstance(kept, int)]
        if len(places) != len(self._kept):
            raise ValueError("a record was added without its place in the journal")
        return places

    @overload
    def __getitem__(self, place: int) -> IterationRecord: ...

    @overload
    def __getitem__(self, place: slice) -> Iterations: ...

    def __getitem__(self, place: int | slice) -> IterationRecord | Iterations:
        kept = self._kept[place]
        return Iterations(kept, self._fetch) if isinstance(kept, list) else self._decoded(kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[IterationRecord]:
        return map(self._decoded, self._kept)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))

    def _decoded(self, kept: IterationRecord | Source) -> IterationRecord:
        if isinstance(kept, int):
            if self._fetch is None:
                raise ValueError("a place in a journal that is not known")
            kept = self._fetch(kept)
        record: IterationRecord = decode(kept) if isinstance(kept, bytes) else kept
        return record
