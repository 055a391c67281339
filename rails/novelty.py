"""The configurations of this run that have been measured or have failed for good."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rails.knobs import FLOAT_RTOL, Value, same_value
from rails.verdict import Config

RETRIES = 1  # how often a failure that may not repeat (a deadline, a kill) is retried


@dataclass(frozen=True, slots=True)
class _Entry:
    values: tuple[Value, ...]
    outcome: str
    retryable: bool


@dataclass(slots=True)
class Tried:
    """Configurations by their difference from the baseline. A look-up is a bisection, so it stays fast."""

    baseline: Config
    _by_knobs: dict[tuple[str, ...], list[_Entry]] = field(default_factory=dict)
    pending: Sequence[Config] = field(default=(), compare=False)  # configurations whose trials have not ended

    def add(self, cfg: Config, outcome: str, *, retryable: bool = False) -> None:
        """Add ``outcome`` ("measured", or a failure's cause). A retryable failure counts as known the second time."""
        knobs, values = self._delta(cfg)
        if knobs:
            insort(self._by_knobs.setdefault(knobs, []), _Entry(values, outcome, retryable), key=_place)

    def find(self, cfg: Config) -> str:
        """The reason why ``cfg`` is not new, or an empty string."""
        knobs, values = self._delta(cfg)
        if not knobs:
            return "it is the baseline itself"
        for other in self.pending:  # nearly all differ in the first knob: their own difference is rarely computed
            if all(same_value(other.get(k), v) for k, v in zip(knobs, values, strict=True)) and (
                self._delta(other)[0] == knobs
            ):
                return f"{_describe(knobs, values)} is being measured in this run"
        same = self._same(knobs, values)
        final = [e for e in same if not e.retryable]
        if not final and len(same) <= RETRIES:
            return ""
        return f"{_describe(knobs, values)} was tried before in this run: {(final or same)[0].outcome}"

    def entries(self) -> list[tuple[tuple[str, ...], list[tuple[tuple[Value, ...], str, bool]]]]:
        """Everything that was added, as plain values: changed knobs, and for each values, outcome and retryable."""
        return [
            (knobs, [(e.values, e.outcome, e.retryable) for e in entries]) for knobs, entries in self._by_knobs.items()
        ]

    @classmethod
    def of_entries(
        cls, baseline: Config, entries: Iterable[tuple[tuple[str, ...], Iterable[tuple[tuple[Value, ...], str, bool]]]]
    ) -> Tried:
        """What ``entries`` were taken of."""
        return cls(baseline, {knobs: [_Entry(*entry) for entry in of_knobs] for knobs, of_knobs in entries})

    def _delta(self, cfg: Config) -> tuple[tuple[str, ...], tuple[Value, ...]]:
        baseline = self.baseline
        changed = (k for k, v in cfg.items() if v != baseline.get(k) and not same_value(v, baseline.get(k)))
        knobs = tuple(sorted(changed))
        return knobs, tuple(cfg[k] for k in knobs)

    def _same(self, knobs: tuple[str, ...], values: tuple[Value, ...]) -> list[_Entry]:
        """Every entry equal to ``values`` within the tolerance. These need not be equal to each other."""
        entries = self._by_knobs.get(knobs, [])
        low = bisect_left(entries, _order(values[0], -2 * FLOAT_RTOL), key=_place)
        high = bisect_right(entries, _order(values[0], 2 * FLOAT_RTOL), key=_place)
        return [e for e in entries[low:high] if all(map(same_value, e.values, values))]


def _describe(knobs: tuple[str, ...], values: tuple[Value, ...]) -> str:
    return ", ".join(f"{k} = {v}" for k, v in zip(knobs, values, strict=True))


def _place(entry: _Entry) -> tuple[int, float, str]:
    return _order(entry.values[0])


def _order(value: Value, slack: float = 0.0) -> tuple[int, float, str]:
    """Numbers before strings; ``slack`` moves a number by that fraction of itself, down or up."""
    return (1, 0.0, value) if isinstance(value, str) else (0, float(value) + slack * abs(float(value)), "")
