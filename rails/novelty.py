"""What is known already: the configurations of this run that have been measured or have failed for good."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field

from rails.knobs import FLOAT_RTOL, Value, same_value
from rails.verdict import Config

RETRIES = 1  # how often a failure that may have been bad luck (a deadline, a kill) is tried again


@dataclass(slots=True)
class _Entry:
    values: tuple[Value, ...]
    outcome: str = ""
    unlucky: int = 0

    def __lt__(self, other: _Entry) -> bool:
        return _order(self.values[0]) < _order(other.values[0])


def _order(value: Value) -> tuple[int, float, str]:
    return (1, 0.0, value) if isinstance(value, str) else (0, float(value), "")


@dataclass(slots=True)
class Tried:
    """Configurations by how they differ from the baseline, found by bisection so that a look-up never grows slow."""

    baseline: Config
    _by_knobs: dict[tuple[str, ...], list[_Entry]] = field(default_factory=dict)

    def add(self, cfg: Config, outcome: str, *, retryable: bool = False) -> None:
        """Remember ``outcome`` ("measured", or a failure's cause). A retryable one counts as known the second time."""
        knobs, values = self._delta(cfg)
        if not knobs:
            return
        entry = self._entry(knobs, values)
        if entry is None:
            entry = _Entry(values)
            insort(self._by_knobs.setdefault(knobs, []), entry)
        if retryable:
            entry.unlucky += 1
            if entry.unlucky <= RETRIES:
                return
        entry.outcome = entry.outcome or outcome

    def find(self, cfg: Config) -> str:
        """Why ``cfg`` need not be tried again, or an empty string."""
        knobs, values = self._delta(cfg)
        if not knobs:
            return "it is the baseline itself"
        entry = self._entry(knobs, values)
        if entry is None or not entry.outcome:
            return ""
        changes = ", ".join(f"{k} = {v}" for k, v in zip(knobs, values, strict=True))
        return f"{changes} was tried before in this run: {entry.outcome}"

    def _delta(self, cfg: Config) -> tuple[tuple[str, ...], tuple[Value, ...]]:
        knobs = tuple(sorted(k for k in cfg if not same_value(cfg[k], self.baseline.get(k))))
        return knobs, tuple(cfg[k] for k in knobs)

    def _entry(self, knobs: tuple[str, ...], values: tuple[Value, ...]) -> _Entry | None:
        entries = self._by_knobs.get(knobs, [])
        low, high = 0, len(entries)
        floor = _order(values[0])
        if floor[0] == 0:  # a number: begin where a value equal within the tolerance could first stand
            floor = (0, floor[1] - 2 * FLOAT_RTOL * abs(floor[1]), "")
        while low < high:
            middle = (low + high) // 2
            if _order(entries[middle].values[0]) < floor:
                low = middle + 1
            else:
                high = middle
        for entry in entries[low:]:
            if all(same_value(a, b) for a, b in zip(entry.values, values, strict=True)):
                return entry
            if not same_value(entry.values[0], values[0]) and _order(entry.values[0]) > _order(values[0]):
                return None
        return None
