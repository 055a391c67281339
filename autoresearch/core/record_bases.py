"""What several records of trajectory.jsonl share: their time and power, an attempt, and the end of an iteration."""

from __future__ import annotations

from pydantic import Field

from autoresearch.core.llm_calls import LlmCall
from autoresearch.core.power import Phase, Power
from autoresearch.core.values import Cfg, FrozenModel, KnobValue
from rails import Rail


class KnobChange(FrozenModel):
    """One of the further changes of a proposal of several."""

    knob: str
    new_value: KnobValue


class ProposalRecord(FrozenModel):
    """One change of one knob, or several that are tried together, in the proposer's words."""

    knob: str
    new_value: KnobValue
    reason: str
    also: tuple[KnobChange, ...] = ()  # what else it changes; empty for one change

    @property
    def changes(self) -> tuple[tuple[str, KnobValue], ...]:
        """Every change, in the proposal's order."""
        return ((self.knob, self.new_value), *((c.knob, c.new_value) for c in self.also))

    @property
    def text(self) -> str:
        """``lr = 0.001, beta1 = 0.95``."""
        return ", ".join(f"{knob} = {value}" for knob, value in self.changes)


class EstimateRecord(FrozenModel):
    """What R7 expected of the candidate before it ran."""

    peak_bytes: int
    time_ratio: float


class Attempt(FrozenModel):
    """One raw proposal of a proposer and the gate's verdict."""

    raw: str
    source: str
    verdict_ok: bool
    rail: Rail
    reason: str
    proposal: ProposalRecord | None = None
    estimate: EstimateRecord | None = None
    round: int = 1  # which of the iteration's replies it was part of
    spare: bool = False  # judged and kept, not tried: an earlier proposal of the same reply had passed
    normalised: tuple[str, ...] = ()  # what was changed of the model's text to get ``raw``, which the rails judged
    original: str | None = None  # the model's text, where it was changed


class Event(FrozenModel):
    """What every record has beside the journal's own ``seq`` and ``crc``."""

    ts: str  # UTC, for people; order and durations never come from it


class Metered(Event):
    """``power`` is what each phase took since the record before that has it, the trials' own phases apart."""

    power: dict[Phase, Power] = Field(default_factory=dict)


class Iteration(Metered):
    """What the records that close an iteration share."""

    iter: int
    verdict_ok: bool
    rail: Rail | None  # null where no rail judged
    reason: str
    attempts: tuple[Attempt, ...]
    llm_calls: tuple[LlmCall, ...] = ()
    propose_wall_s: float
    overhead_s: float  # iter_wall_s without proposing, training and validation
    iter_wall_s: float


class CandidateTried(Iteration):
    """What the records of a candidate that was tried share."""

    source: str
    proposal: ProposalRecord
    diff: str
    candidate_cfg: Cfg
    estimate: EstimateRecord | None
    trials: tuple[int, ...]
