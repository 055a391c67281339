"""The inputs and outputs of the gate, as plain frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from rails.knobs import Value

Config = Mapping[str, Value]


class Rail(StrEnum):
    """The checks in their order; a proposal that passes all of them has rail ``passed``."""

    R1_SCHEMA = "R1_schema"
    R2_MENU = "R2_menu"
    R3_RANGE = "R3_range"
    R4_CROSS = "R4_cross"
    R5_DIFF_LINT = "R5_diff_lint"
    R6_NOVELTY = "R6_novelty"
    R7_BUDGET = "R7_budget"
    PASSED = "passed"


@dataclass(frozen=True, slots=True)
class Proposal:
    """One change of one knob, and the proposer's reason for it.

    ``also`` has the further changes of a proposal of several: they are one candidate, judged and tried together.
    """

    knob: str
    new_value: Value
    reason: str
    also: tuple[tuple[str, Value], ...] = ()

    @property
    def changes(self) -> tuple[tuple[str, Value], ...]:
        """Every change, in the proposal's order."""
        return ((self.knob, self.new_value), *self.also)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cost of one trial of a configuration: peak bytes, and its time divided by the baseline's.

    ``unsupported`` is what the trainer cannot do on this device; empty where it can train the configuration.
    ``slow_because`` names the measured cause of a ``time_ratio`` that the amount of work does not explain.
    """

    peak_bytes: int
    time_ratio: float
    unsupported: str = ""
    slow_because: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest cost that a trial may have; ``memory_bytes`` is ``None`` where the limit is not known."""

    memory_bytes: int | None = None
    max_time_ratio: float = 3.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's decision. ``candidate`` is the whole configuration to measure; only a verdict that passes has one."""

    ok: bool
    rail: Rail
    reason: str
    proposal: Proposal | None = None
    diff: str | None = None
    candidate: Config | None = None
    estimate: Estimate | None = None
