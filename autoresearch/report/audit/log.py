"""A log in one neutral form, whatever program wrote it: its first measurement, and one entry per trial."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autoresearch.errors import CorpusError

Direction = Literal["lower", "higher"]
Loop = Literal["fixed", "ratchet"]  # compared with a fixed baseline, or with the last keep
MAX_ENTRIES = 20_000
MAX_NAME_CHARS = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One trial. ``config`` is equal for equal configurations, and ``None`` where the log does not say."""

    place: str  # as the log counts: "iteration 7", "line 12"
    name: str
    value: float | None  # None: crashed, or not measured
    kept: bool
    config: str | None = None
    gain: float | None = None  # as measured in pairs with the baseline; None: it follows from the values
    pairs: int = 1  # that ``gain`` is the mean of


@dataclass(frozen=True, slots=True)
class Log:
    """A log whose values can be judged. ``baseline`` holds every measurement of the first configuration, or of it."""

    path: str
    format: str
    metric: str
    direction: Direction
    loop: Loop
    baseline: tuple[float, ...]
    entries: tuple[Entry, ...]
    pair_sd: float | None = None  # SD of one paired gain, from the log; None: gains are not paired
    pair_df: float = 0.0
    baseline_config: str | None = None  # as ``Entry.config``
    notes: tuple[str, ...] = ()  # what could not be read, and what was assumed

    def __post_init__(self) -> None:
        """Raise ``CorpusError`` where nothing can be judged."""
        if not self.baseline:
            raise CorpusError(f"{self.path}: no first measurement to compare with", hint="name a log with a baseline")
        if not all(math.isfinite(v) and v != 0 for v in self.baseline):
            hint = "gains are relative: the metric must not be zero or infinite there"
            raise CorpusError(f"{self.path}: the first measurement is {self.baseline[0]:g}", hint=hint)
        if not any(entry.value is not None for entry in self.entries):
            raise CorpusError(f"{self.path}: no trial after the first one was measured", hint="name a longer log")

    @property
    def reference(self) -> float:
        """The mean of the first configuration's measurements."""
        return math.fsum(self.baseline) / len(self.baseline)

    def gain_of(self, entry: Entry) -> float:
        """The gain against the first measurement, a fraction of it: above zero is better. Of a measured entry."""
        if entry.gain is not None:
            return entry.gain
        difference = (self.reference - entry.value) / abs(self.reference) if entry.value is not None else 0.0
        return difference if self.direction == "lower" else -difference

    @property
    def measured(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.value is not None)


def finite(value: Any) -> float | None:
    """A number that can be a measurement; ``None`` for anything else. A boolean is not a number."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and abs(number) < 1e300 else None


def best_so_far(values: Iterable[float | None], direction: Direction) -> Iterator[bool]:
    """Whether each value is better than all before it; the first measured one is the reference, and is not."""
    best: float | None = None
    sign = 1 if direction == "lower" else -1
    for value in values:
        better = value is not None and best is not None and sign * value < sign * best
        if value is not None and (best is None or better):
            best = value
        yield better


def shortened(text: object) -> str:
    """A text of a foreign log on one line, bounded."""
    return " ".join(str(text).split())[:MAX_NAME_CHARS]


def bounded(entries: Sequence[Entry], path: str) -> tuple[Entry, ...]:
    """The entries, or ``CorpusError`` for more than can be judged."""
    if len(entries) > MAX_ENTRIES:
        hint = "cut the log into nights"
        raise CorpusError(f"{path}: {len(entries):,} trials; at most {MAX_ENTRIES:,} are judged", hint=hint)
    return tuple(entries)
