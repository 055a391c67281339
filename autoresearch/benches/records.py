"""The records of a bench run's journal, trials.jsonl: one frozen type per ``stage``.

A value that was not measured is ``null``, never 0. Time spans are in seconds, energy in joules.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from autoresearch.core.power import Power
from autoresearch.core.values import Fraction, FrozenModel, NotNegative, PositiveInt, decode_record

BENCH_SCHEMA_VERSION = 1


class BenchMeta(FrozenModel):
    """What is fixed for the whole bench run; the first record. A run with another is not continued.

    A later one is written where ``samples`` grew, or ``base_url`` or ``versions`` changed: the latest is the run's.
    """

    stage: Literal["meta"] = "meta"
    schema_version: int = BENCH_SCHEMA_VERSION
    ts: str
    suite: str
    cases_sha256: str
    cases: PositiveInt
    samples: PositiveInt  # K: of each case
    model: str | None  # as listed by the server; null where the suite asks none
    base_url: str | None
    sampling: dict[str, Any]  # temperature, top_p, max_tokens, seed: as sent
    prompt_sha256: str
    limits: dict[str, float]
    options: dict[str, Any]  # of the suite
    versions: dict[str, str]
    imported: str | None = None  # the format that the trials were imported from; null where they ran here


class BenchTrial(FrozenModel):
    """One attempt that ended, well or badly. An attempt that the infrastructure failed is ``Unavailable`` instead."""

    stage: Literal["trial"] = "trial"
    ts: str
    case: str
    sample: int
    status: str  # the suite's own word; "finished" where the attempt ended by itself
    answer: str | None
    turns: tuple[dict[str, Any], ...] = ()
    tokens_in: int | None = None
    tokens_out: int | None = None
    wall_s: NotNegative | None = None
    energy_j: NotNegative | None = None  # null unless it was metered and no other attempt ran at the same time
    evidence: dict[str, Any] = Field(default_factory=dict)


class Grade(FrozenModel):
    """The grade of a trial; the latest of the same grader's name wins. ``score`` null: ungraded."""

    stage: Literal["grade"] = "grade"
    ts: str
    trial: int  # seq of the trial's record
    grader: str  # name@version
    score: Fraction | None
    correct: bool | None
    answer: str | None = None  # as extracted and normalised
    detail: dict[str, Any] = Field(default_factory=dict)


class Unavailable(FrozenModel):
    """An attempt without a result because of the infrastructure: it stays planned, and the next run tries it again."""

    stage: Literal["unavailable"] = "unavailable"
    ts: str
    case: str
    sample: int
    cause: str  # a Classification of core/llm_calls.py, or internal_error: an error of our own code
    detail: str


class Ended(FrozenModel):
    """The end of one start of the run. A start that was killed has none."""

    stage: Literal["ended"] = "ended"
    ts: str
    reason: Literal["complete", "stopped", "incomplete"]
    detail: str
    wall_s: NotNegative
    power: Power | None = None  # of the time in which attempts ran; null where nothing was metered


BenchRecord = Annotated[BenchMeta | BenchTrial | Grade | Unavailable | Ended, Field(discriminator="stage")]
_RECORD: TypeAdapter[BenchRecord] = TypeAdapter(BenchRecord)


def decode_bench_record(payload: bytes | str) -> BenchRecord:
    """Decode a record. Raises ``JournalDamaged`` with the field that is wrong."""
    return decode_record(_RECORD, payload)
