"""What goes in and out of the gate, as plain frozen values."""

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
    """One change of one knob, and the proposer's own words for why."""

    knob: str
    new_value: Value
    reason: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one trial of a configuration would need: peak bytes, and its time over the baseline's.

    ``unsupported`` says what the trainer cannot do on this device, and is empty where it can.
    """

    peak_bytes: int
    time_ratio: float
    unsupported: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a trial may need at most; ``memory_bytes`` is ``None`` where nobody knows."""

    memory_bytes: int | None = None
    max_time_ratio: float = 3.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's answer. ``candidate`` is the whole configuration to measure, and only a pass has one."""

    ok: bool
    rail: Rail
    reason: str
    proposal: Proposal | None = None
    diff: str | None = None
    candidate: Config | None = None
    estimate: Estimate | None = None
