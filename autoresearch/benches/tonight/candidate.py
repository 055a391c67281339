"""A proposer, alone or with a model, as suite P measured it: what the verdict needs of it. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

BASELINE = "tpe"  # what a model has to beat
TRIALS = 30  # the regret after so many trials decides
NO_DATA = "no data in the table"  # a proposal that the table cannot answer: not the proposer's failure


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposer with its results by seed.

    ``regret`` is the true mean val_bpb of the configuration that was chosen, minus the best of the table: lower is
    better.
    ``at_clock`` is the same at the time at which the baseline has made its trials. Seconds and joules are the
    proposer's own, not those of the trials. ``failures`` are proposals that were lost, by class.
    """

    proposer: str
    model: str | None
    regret: Mapping[int, float]
    at_clock: Mapping[int, float] = field(default_factory=dict)
    missing: int = 0  # planned seeds without a result
    proposals: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    proposal_s: float | None = None  # mean of a proposal
    proposal_j: float | None = None
    base_url: str | None = None
    source: str = ""  # directory of the run
    label: str = ""  # the run, where two runs of the same candidate differ

    @property
    def key(self) -> tuple[str, str | None]:
        """What makes two candidates the same."""
        return self.proposer, self.model

    @property
    def name(self) -> str:
        """``hybrid with MODEL``, or the proposer alone."""
        name = f"{self.proposer} with {self.model}" if self.model else self.proposer
        return f"{name} ({self.label})" if self.label else name
