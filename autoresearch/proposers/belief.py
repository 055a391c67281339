"""What an optimizer believes of one knob, as plain values: for a prompt, and for whoever wants to look."""

from __future__ import annotations

from dataclasses import dataclass

from rails import Value


@dataclass(frozen=True, slots=True)
class Belief:
    """The optimizer's next suggestions for one knob, drawn many times over and not proposed."""

    knob: str
    share: float  # of its draws that could be proposed and fell on this knob: where it expects gains; 0 to 1
    guess: Value | None  # the middle of the values drawn; None where none was
    low: Value | None  # the lowest value drawn
    high: Value | None  # the highest
    results: int  # measured and failed values of this knob that the belief rests on
    note: str = ""  # why it is uncertain; empty where it is not
