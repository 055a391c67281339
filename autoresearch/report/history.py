"""What a run did, in the one neutral shape that every trajectory format becomes before anyone looks at it.

What was not measured is ``None``, never 0. Spans are in seconds, sizes in bytes, energy in joules.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from autoresearch.core.llm_calls import LlmCall
from autoresearch.core.measurement import Mark
from autoresearch.core.power import Metering, Phase, Power, Scope
from autoresearch.core.records import Yardstick
from autoresearch.core.values import Cfg, KnobValue

Stage = Literal["baseline", "evaluated", "eval_failed", "blocked", "proposer_failed"]
State = Literal["running", "paused", "stopped", "complete", "open"]

MAX_EXACT = 10**15  # a longer whole number is kept as text: as a float it would be another number, or overflow
MAX_VALUE_CHARS = 80


@dataclass(frozen=True, slots=True)
class Row:
    """One closed iteration, or with ``iter`` 0 the baseline.

    The five parts of ``wall_s`` are ``train_s`` and ``eval_s`` of trials that were measured, ``failed_s`` of trials
    that were not, or that counted for nothing and were run again, ``propose_s`` and ``overhead_s``. Over several trials
    seconds, tokens and joules are sums and ``peak_bytes`` is the largest.
    """

    iter: int
    stage: Stage
    ts: str | None = None
    rail: str | None = None  # "passed", or the rail that refused the last attempt; None where no rail was asked
    reason: str | None = None  # the machine's words: of the decision, the rail, or the failure
    knob: str | None = None
    new_value: KnobValue | None = None
    why: str | None = None  # the proposer's own words: untrusted
    source: str | None = None
    val_bpb: float | None = None  # mean over the trials
    lowest_val_bpb: float | None = None  # of a single trial
    trials: int = 0  # how many were measured
    improvement_frac: float | None = None  # (baseline - candidate) / baseline: positive is better
    decision: Literal["keep", "revert"] | None = None
    is_new_best: bool | None = None
    cause: str | None = None  # of a failed trial
    train_s: float | None = None
    eval_s: float | None = None
    failed_s: float | None = None
    propose_s: float | None = None
    overhead_s: float | None = None
    wall_s: float | None = None
    refused: Mapping[str, int] = field(default_factory=dict)  # attempts that a rail refused, by rail
    llm_calls: tuple[LlmCall, ...] = ()
    llm_judged: Mapping[str, int] = field(default_factory=dict)  # the LLM's proposals, by their rail or "passed"
    tokens: int | None = None  # trained on
    peak_bytes: int | None = None
    energy_j: float | None = None
    marks: tuple[Mark, ...] = ()  # of any of its trials
    voided: int = 0  # trials that were run again because of their marks


@dataclass(frozen=True, slots=True)
class OpenTrial:
    """A trial that has begun and not ended; ``iter`` 0 is the baseline's."""

    iter: int
    ts: str


@dataclass(frozen=True, slots=True)
class History:
    """A run as its log tells it.

    ``state`` comes from the records alone: "running" says that the last daemon wrote no ending, not that it lives;
    "open" that this log does not say when daemons start. ``energy_j`` is of every trial that was metered, closed
    iteration or not.
    """

    log_format: Literal["autoresearch", "origin"]
    knobs: tuple[str, ...]  # the menu's, in its order
    menu: Mapping[str, Any] = field(default_factory=dict)  # as the log holds it
    baseline: Row | None = None
    baseline_cfg: Cfg = field(default_factory=dict)
    accept_delta_frac: float | None = None
    rows: tuple[Row, ...] = ()
    iters_requested: int | None = None
    state: State = "open"
    stop_reason: str | None = None
    open_trial: OpenTrial | None = None
    energy_j: float | None = None
    power: Mapping[Scope, Mapping[Phase, Power]] = field(default_factory=dict)  # of all starts; scopes are never added
    metering: Metering | None = None  # of the last start
    marks: Mapping[Mark, int] = field(default_factory=dict)  # trials that have them, closed iteration or not
    voided: int = 0
    run_id: str | None = None
    profile: str | None = None
    proposer: str | None = None
    yardstick: Yardstick | None = None

    @property
    def baseline_val_bpb(self) -> float | None:
        return self.baseline.val_bpb if self.baseline else None


def plain_value(value: object) -> KnobValue:
    """A proposed value that can be compared, counted and shown; what is no number or string becomes its JSON, cut."""
    if isinstance(value, float) or (type(value) is int and abs(value) <= MAX_EXACT):
        return value
    try:
        text = value if isinstance(value, str) else json.dumps(value)
    except (ValueError, RecursionError):  # an integer of more digits than Python prints, a bottomless list
        text = "a value too large to show"
    return encodable(text if len(text) <= MAX_VALUE_CHARS else f"{text[: MAX_VALUE_CHARS - 3]}...")


def encodable(text: str) -> str:
    """``text`` with lone surrogates, which JSON can carry and UTF-8 cannot, as their escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def total(*parts: float | None) -> float | None:
    """The sum of what is known, or ``None`` when nothing is."""
    known = [part for part in parts if part is not None]
    return math.fsum(known) if known else None  # exact, so the order does not matter
