"""What a run did, in one neutral form: every trajectory format is converted to it before it is reported.

What was not measured is ``None``, never 0. Durations are in seconds, sizes in bytes, energy in joules.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import PlainSerializer, PlainValidator

from autoresearch.core.climb import TotalGain
from autoresearch.core.climb_record import Climb
from autoresearch.core.costs import UNKNOWN_RATIOS, CostRatios, describe_compute
from autoresearch.core.equal_flops import format_range
from autoresearch.core.llm_calls import LlmCall
from autoresearch.core.measurement import Mark
from autoresearch.core.metric import MetricKind, MetricWords
from autoresearch.core.power import Metering, Phase, Power, Scope
from autoresearch.core.records import EarlierRun, Evidence, Race, Unsealed, Yardstick
from autoresearch.core.stopped_trial import StopPoint, describe_point
from autoresearch.core.values import Cfg, KnobValue
from autoresearch.report.promotion import Certificate

Stage = Literal["baseline", "evaluated", "stopped_early", "eval_failed", "blocked", "proposer_failed"]
State = Literal["running", "paused", "stopped", "complete", "open"]

MAX_EXACT = 10**15  # a larger integer is kept as text: as a float it would change or overflow
MAX_VALUE_CHARS = 80


def _as_array(values: Any) -> Sequence[float]:
    try:
        return array("f", values)
    except (TypeError, OverflowError) as e:
        raise ValueError("a curve must be a list of numbers") from e


# Floats of four bytes; in JSON, which a cache of a long run is, a list of numbers.
Curve = Annotated[Sequence[float], PlainValidator(_as_array), PlainSerializer(list)]


@dataclass(frozen=True, slots=True)
class Row:
    """One closed iteration; ``iter`` 0 is the baseline.

    The five parts of ``wall_s`` are ``train_s`` and ``eval_s`` of measured trials, ``failed_s`` of trials that failed
    or were discarded and run again, ``propose_s`` and ``overhead_s``. Over several trials seconds, tokens and joules
    are sums and ``peak_bytes`` is the maximum.

    Where several knobs were changed together, ``knob`` lists their names, ``lr, beta1``, and ``new_value`` the values
    in the same order, ``0.001, 0.95``: the effect is of none of them alone, so it is not counted for any of them.
    """

    iter: int
    stage: Stage
    ts: str | None = None
    rail: str | None = None  # "passed", or the rail that refused the last attempt; None if no rail was checked
    reason: str | None = None  # written by the program: of the decision, the rail, or the failure
    knob: str | None = None
    new_value: KnobValue | None = None
    why: str | None = None  # written by the proposer: untrusted
    source: str | None = None
    val_bpb: float | None = None  # mean over the trials; of a run with another metric (History.metric), of that
    lowest_val_bpb: float | None = None  # of a single trial; of another metric its best value
    trials: int = 0  # number of measured trials
    improvement_frac: float | None = None  # (baseline - candidate) / baseline: positive is better
    decision: Literal["keep", "revert"] | None = None
    evidence: Evidence | None = None  # of rule sequential
    corrected_frac: float | None = None  # gain of a keep of rule sequential, corrected for having been selected
    paired_bpbs: tuple[tuple[float, float], ...] = ()  # of baseline and candidate, by seed, where there are several
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
    curves: tuple[Curve, ...] = ()  # training loss of each measured trial that has it, in CURVE_POINTS points
    deadline_extended_s: float | None = None  # by which the deadlines of slowed trials were moved
    vault: Unsealed | None = None  # of a keep whose vault is unsealed
    baseline_trials: int = 0  # more seeds of the baseline, run for this candidate; in its seconds and joules only
    baseline_tokens: int | None = None  # that these trained on
    normalised: int = 0  # attempts whose text was rewritten before the rails judged it
    disturbance: str = ""  # what may have decided a verdict under a budget in seconds: "the baseline ran contended"
    stopped: StopPoint | None = None  # where its trial was stopped early: it has no val_bpb
    would_stop: StopPoint | None = None  # where it would have been stopped, but for the audit
    ratios: CostRatios = UNKNOWN_RATIOS  # of a measured candidate's costs to the baseline's
    equal_flops_gain: tuple[float, float] | None = None  # about, low and high; None where equal or not known
    several: tuple[tuple[str, KnobValue], ...] = ()  # the changes of a candidate of more than one; see ``knob``

    @property
    def remark(self) -> str:
        """The program's own words on the row: why nothing was measured, or what qualifies a keep."""
        if self.stage != "evaluated":
            return self.reason or ""
        ran_on = f"ran on for the audit from {describe_point(self.would_stop)}" if self.would_stop else ""
        if self.decision != "keep":
            return ran_on
        equal = f"about {format_range(self.equal_flops_gain)} at equal FLOPs" if self.equal_flops_gain else ""
        return ", ".join(filter(None, (ran_on, describe_compute(self.ratios), equal, self.disturbance)))


def qualify_disturbed(row: Row) -> str:
    """The sentence beside a gain that the machine's load may have decided."""
    what = row.disturbance[:1].upper() + row.disturbance[1:]
    return f"{what}: under a budget in seconds, the difference may be the machine's."


@dataclass(frozen=True, slots=True)
class OpenTrial:
    """A trial that has started and not ended; ``iter`` 0 is the baseline's."""

    iter: int
    ts: str
    seed: int = 0
    trial: int = 0
    change: str = ""  # of a parallel run: what its candidate changes; untrusted


@dataclass(frozen=True, slots=True)
class History:
    """A run according to its log.

    ``state`` comes from the records alone: "running" means that the last daemon recorded no end, not that it is alive;
    "open" means that this log format does not record starts. ``energy_j`` covers every trial that was metered, also
    those of iterations that are not closed.
    """

    log_format: Literal["autoresearch", "origin"]
    knobs: tuple[str, ...]  # of the menu, in its order
    menu: Mapping[str, Any] = field(default_factory=dict)  # as the log contains it
    baseline: Row | None = None
    baseline_bpbs: tuple[float, ...] = ()  # one per measured seed, also of those that a candidate needed later
    baseline_failure: str | None = None  # why it failed since the last start; None once it is recorded
    baseline_cfg: Cfg = field(default_factory=dict)
    accept_delta_frac: float | None = None
    rule: Mapping[str, Any] = field(default_factory=dict)  # the whole decision rule, as the log contains it
    earlier_runs: tuple[EarlierRun, ...] = ()  # whose noise the run began with
    rows: tuple[Row, ...] = ()
    iters_requested: int | None = None
    state: State = "open"
    stop_reason: str | None = None
    waits_for: Literal["user", "disk_space"] = "user"  # what ends the pause, in state "paused"
    disk_waits: int = 0  # how often the run waited for disk space
    disk_wait_s: float = 0.0
    open_trial: OpenTrial | None = None  # of several, the first
    open_trials: tuple[OpenTrial, ...] = ()
    parallel: bool = False  # trials ran side by side, so that the iterations' times overlap
    energy_j: float | None = None
    device_j: Mapping[str, float] = field(default_factory=dict)  # of the trials on each device with a meter of its own
    power: Mapping[Scope, Mapping[Phase, Power]] = field(default_factory=dict)  # of all starts; scopes are never added
    metering: Metering | None = None  # of the last start
    marks: Mapping[Mark, int] = field(
        default_factory=dict
    )  # number of trials with each mark, also in iterations that are not closed
    voided: int = 0
    run_id: str | None = None
    profile: str | None = None
    proposer: str | None = None
    yardstick: Yardstick | None = None
    ends_at: str | None = None  # of the last start, where the clock ends it: local time with its offset from UTC
    zone: str | None = None  # its abbreviation
    climb: Climb | None = None  # the runs before it, where its baseline is the winner of one
    total_gain: TotalGain | None = None  # over the first baseline of the climb
    race: Race | None = None  # the last one
    certificate: Certificate | None = None  # of the winner, trained longer
    warnings: tuple[str, ...] = ()  # what could not be read of a damaged log
    val_overlap: float | None = None  # share of validation that occurs verbatim in train
    metric: MetricKind | None = None  # what ``val_bpb`` of baseline and rows is; None: bits per byte

    @property
    def baseline_val_bpb(self) -> float | None:
        return self.baseline.val_bpb if self.baseline else None

    @property
    def is_sequential(self) -> bool:
        """Whether candidates were judged by rule ``sequential``."""
        return self.rule.get("kind") == "sequential"

    def comparable_bpb(self, row: Row) -> float | None:
        """The val_bpb of ``row`` that can be compared with the baseline's.

        By rule ``sequential`` a gain is paired by seed, and rows have different seeds: it is the baseline's val_bpb
        less the paired gain.
        """
        if row.evidence is None or row.improvement_frac is None or self.baseline_val_bpb is None:
            return row.val_bpb
        return self.with_gain(self.baseline_val_bpb, row.improvement_frac)

    def with_gain(self, baseline: float, gain_frac: float) -> float:
        """The value that has this gain over ``baseline``."""
        towards_0 = self.words.higher_is_better == (baseline < 0)
        return baseline * (1 - gain_frac if towards_0 else 1 + gain_frac)

    def loss(self, value: float) -> float:
        """A value as a loss, of which less is better."""
        return -value if self.words.higher_is_better else value

    @property
    def words(self) -> MetricWords:
        """How to name the metric."""
        return MetricWords(self.metric)


def plain_value(value: object) -> KnobValue:
    """A proposed value that can be compared, counted and shown; other types than number and string become JSON, cut."""
    if isinstance(value, float) or (type(value) is int and abs(value) <= MAX_EXACT):
        return value
    try:
        text = value if isinstance(value, str) else json.dumps(value)
    except (
        ValueError,
        RecursionError,
    ):  # an integer with more digits than Python prints, or a list that is nested too deeply
        text = "a value too large to show"
    return encodable(text if len(text) <= MAX_VALUE_CHARS else f"{text[: MAX_VALUE_CHARS - 3]}...")


def encodable(text: str) -> str:
    """``text`` with lone surrogates, which JSON can carry and UTF-8 cannot, as their escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def total(*parts: float | None) -> float | None:
    """The sum of the known parts, or ``None`` if none is known."""
    known = [part for part in parts if part is not None]
    return math.fsum(known) if known else None  # exact: the order does not matter
