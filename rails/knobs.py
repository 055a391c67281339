"""The kinds of knob: which values each accepts, their canonical form, and the reasons for a refusal."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

Value = int | float | str

FLOAT_RTOL = 1e-9  # two floats this close, relatively, are one configuration


def same_value(a: object, b: object) -> bool:
    """Whether two knob values are the same: floats within 1e-9 relative, whole numbers and strings exactly equal."""
    if isinstance(a, int | float) and isinstance(b, int | float) and not (isinstance(a, int) and isinstance(b, int)):
        return math.isclose(a, b, rel_tol=FLOAT_RTOL, abs_tol=0.0)
    return isinstance(a, int | str) and a == b


def is_finite(value: int | float) -> bool:
    """Whether a float can hold ``value`` (an int of any size compares exactly; NaN is never below anything)."""
    return abs(value) <= sys.float_info.max


def show(value: object, limit: int = 60) -> str:
    """Untrusted ``value`` as short printable ASCII, for a reason that the user or an LLM will read."""
    try:
        text = ascii(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list nested too deeply
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


@dataclass(frozen=True, slots=True)
class IntKnob:
    """Whole numbers from ``low`` to ``high``, both included."""

    name: str
    low: int
    high: int
    default: int
    doc: str = ""

    def accept(self, value: object) -> tuple[Value | None, str]:
        """The canonical value, or ``None`` and the reason."""
        if isinstance(value, bool) or not isinstance(value, int):
            return None, f"{self.name} takes a whole number, not {show(value)}"
        if not self.low <= value <= self.high:
            return None, f"{self.name} = {show(value)} is outside {self.describe()}"
        return value, ""

    def describe(self) -> str:
        return f"[{self.low}, {self.high}]"


@dataclass(frozen=True, slots=True)
class FloatKnob:
    """Finite numbers from ``low`` to ``high``, both included; ``log`` means that ratios matter, not differences."""

    name: str
    low: float
    high: float
    default: float
    log: bool = False
    doc: str = ""

    def accept(self, value: object) -> tuple[Value | None, str]:
        """The canonical float (an int is accepted), or ``None`` and the reason."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None, f"{self.name} takes a number, not {show(value)}"
        if not self.low <= value <= self.high:  # false for NaN; an int of any size compares exactly
            return None, f"{self.name} = {show(value)} is outside {self.describe()}"
        return float(value) + 0.0, ""  # + 0.0 turns -0.0 into 0.0

    def describe(self) -> str:
        return f"[{self.low:g}, {self.high:g}]"


@dataclass(frozen=True, slots=True)
class ChoiceKnob:
    """One of a few values: all whole numbers in rising order, or all strings."""

    name: str
    choices: tuple[int | str, ...]
    default: int | str
    doc: str = ""

    def accept(self, value: object) -> tuple[Value | None, str]:
        """The value itself if it is one of the choices and of their type, or ``None`` and the reason."""
        kind = type(self.choices[0])
        if type(value) is not kind:
            noun = "a whole number" if kind is int else "a string"
            return None, f"{self.name} takes {noun} out of {self.describe()}, not {show(value)}"
        if value not in self.choices:
            return None, f"{self.name} = {show(value)} is not one of {self.describe()}"
        return value, ""

    def describe(self) -> str:
        return "{" + ", ".join(str(c) for c in self.choices) + "}"


Knob = IntKnob | FloatKnob | ChoiceKnob
