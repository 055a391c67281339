"""A meter whose joules are set by the test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from autoresearch.core.power import PHASES, TRIAL_PHASES, Phase, Power


@dataclass(slots=True)
class FakeMeter:
    """A meter that returns fixed figures each time it is settled; ``phases`` records the phases that it was passed.

    ``trials`` holds the figures of one trial (or part of one) after the other; after them ``usual`` applies.
    """

    trials: list[dict[Phase, Power]] = field(default_factory=list)
    usual: dict[Phase, Power] = field(default_factory=dict)
    phases: list[Phase] = field(default_factory=list)

    def poll(self) -> None:
        pass

    def phase(self, name: Phase) -> None:
        self.phases.append(name)

    def settle(self, phases: Sequence[Phase] = PHASES) -> dict[Phase, Power]:
        """See ``ports.Meter``."""
        figures = self.trials.pop(0) if tuple(phases) == TRIAL_PHASES and self.trials else self.usual
        return {phase: power for phase, power in figures.items() if phase in phases}


def fake_power(energy_j: float | None = 100.0, span_s: float = 1.0, **more: object) -> Power:
    """Build the ``Power`` of a GPU's energy counter with full coverage; ``more`` overrides fields."""
    known = energy_j is not None
    fields = {"method": "nvml_energy", "scope": "gpu", "span_s": span_s, "coverage": 1.0 if known else 0.0}
    watts = energy_j / span_s if energy_j is not None and span_s else None
    return Power.model_validate({**fields, "energy_j": energy_j, "mean_w": watts, **more})
