"""A meter whose phases take as many joules as the test says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from autoresearch.core.power import PHASES, TRIAL_PHASES, Phase, Power


@dataclass(slots=True)
class FakeMeter:
    """A meter whose phases take as many joules as told, each time they are settled; ``heard`` remembers the phases.

    ``trials`` says what the phases of one trial after the other (or of one part of it) took; then ``usual`` holds.
    """

    trials: list[dict[Phase, Power]] = field(default_factory=list)
    usual: dict[Phase, Power] = field(default_factory=dict)
    heard: list[Phase] = field(default_factory=list)

    def poll(self) -> None:
        pass

    def phase(self, name: Phase) -> None:
        self.heard.append(name)

    def settle(self, phases: Sequence[Phase] = PHASES) -> dict[Phase, Power]:
        """See ``ports.Meter``."""
        told = self.trials.pop(0) if tuple(phases) == TRIAL_PHASES and self.trials else self.usual
        return {phase: power for phase, power in told.items() if phase in phases}


def fake_power(energy_j: float | None = 100.0, span_s: float = 1.0, **more: object) -> Power:
    """What a GPU took by its own counter, all of the time covered unless ``more`` says otherwise."""
    known = energy_j is not None
    fields = {"method": "nvml_energy", "scope": "gpu", "span_s": span_s, "coverage": 1.0 if known else 0.0}
    watts = energy_j / span_s if energy_j is not None and span_s else None
    return Power.model_validate({**fields, "energy_j": energy_j, "mean_w": watts, **more})
