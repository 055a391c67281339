"""What an optimizer expects of one knob, as plain values: for the prompt and for inspection."""

from __future__ import annotations

from dataclasses import dataclass

from rails import Value


@dataclass(frozen=True, slots=True)
class Belief:
    """A summary of many suggestions that the optimizer would make next for one knob; none is proposed."""

    knob: str
    share: float  # fraction of its open draws that fell on this knob, 0 to 1: high where it expects gains
    guess: Value | None  # the median of the values drawn; None if none was
    low: Value | None  # the lowest value drawn
    high: Value | None  # the highest
    results: int  # measured and failed trials of this knob that the belief is based on
    note: str = ""  # why it is uncertain; empty if it is not
