"""A verdict rail by rail: which rails a proposal passed, which one refused it, and which were not reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from rails.verdict import Rail, Verdict

ORDER = tuple(rail for rail in Rail if rail is not Rail.PASSED)
CHECKS = {
    Rail.R1_SCHEMA: "one JSON object: knob, new_value and reason, or changes and reason where several are allowed",
    Rail.R2_MENU: "every knob is on the menu",
    Rail.R3_RANGE: "every value has its knob's type and is in its range or among its choices",
    Rail.R4_CROSS: "the changed configuration keeps the cross constraints",
    Rail.R5_DIFF_LINT: "exactly the named knobs change, one line of the configuration each",
    Rail.R6_NOVELTY: "it is neither the baseline nor a configuration that this run has tried",
    Rail.R7_BUDGET: "the trial can run on this device, within its memory and time",
}


class Outcome(StrEnum):
    """What one rail did with a proposal."""

    PASSED = "passed"
    REFUSED = "refused"
    NOT_REACHED = "not reached"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class RailOutcome:
    """One rail's part of a verdict; ``reason`` says why it refused or could not check, else it is empty."""

    rail: Rail
    outcome: Outcome
    reason: str = ""

    @property
    def checks(self) -> str:
        """What the rail checks, in words."""
        return CHECKS[self.rail]


def explain(verdict: Verdict, not_checked: Mapping[Rail, str] = MappingProxyType({})) -> tuple[RailOutcome, ...]:
    """The outcome of each rail. The gate asks them in the order of ``Rail`` and stops at the first refusal.

    ``not_checked`` has the rails that passed only because the caller could not give the gate what they need, and why.
    """
    at = len(ORDER) if verdict.ok else ORDER.index(verdict.rail)
    outcomes = []
    for number, rail in enumerate(ORDER):
        if number > at:
            outcomes.append(RailOutcome(rail, Outcome.NOT_REACHED))
        elif number == at:
            outcomes.append(RailOutcome(rail, Outcome.REFUSED, verdict.reason))
        elif rail in not_checked:
            outcomes.append(RailOutcome(rail, Outcome.NOT_CHECKED, not_checked[rail]))
        else:
            outcomes.append(RailOutcome(rail, Outcome.PASSED))
    return tuple(outcomes)
