"""What an optimizer expects of one knob, as plain values: for the prompt and for inspection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoresearch.core.results import Result
from autoresearch.proposers.cube import position
from rails import Knob, Menu, Value

WIDE_FRAC = 0.5  # of a range, on its own scale: values spread further than this are called uncertain


@dataclass(frozen=True, slots=True)
class Belief:
    """A summary of what the optimizer would change next in one knob; nothing is proposed."""

    knob: str
    share: float  # fraction of its best candidates that change this knob, 0 to 1
    guess: Value | None  # the median of their values; None if there is none
    low: Value | None  # the lowest of them
    high: Value | None  # the highest
    results: int  # measured and failed trials that changed this knob
    note: str = ""  # why it is uncertain; empty if it is not
    best: Value | None = None  # in the tried configuration that it takes for the best; None: the baseline's value


def summarise_candidates(
    menu: Menu, candidates: Sequence[Mapping[str, Value]], best: Mapping[str, Value], results: Sequence[Result]
) -> tuple[Belief, ...]:
    """A belief for each knob of the menu from the changes that an optimizer would try next."""
    tried = Counter(name for result in results for name, _ in result.changes)
    return tuple(_belief(knob, candidates, best.get(name), tried[name]) for name, knob in menu.knobs.items())


def _belief(knob: Knob, candidates: Sequence[Mapping[str, Value]], best: Value | None, tried: int) -> Belief:
    values = sorted((c[knob.name] for c in candidates if knob.name in c), key=lambda value: position(knob, value))
    low, guess, high = (values[0], values[(len(values) - 1) // 2], values[-1]) if values else (None, None, None)
    notes = ["only one result" if tried else "no result yet"] if tried < 2 else []
    if values and position(knob, values[-1]) - position(knob, values[0]) > WIDE_FRAC:
        notes.append("its values are spread over most of the range")
    share = len(values) / max(1, len(candidates))
    return Belief(knob.name, share, guess, low, high, tried, "; ".join(notes), best)
