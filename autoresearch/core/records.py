"""The records of trajectory.jsonl: one frozen type per ``stage``, strict when written and when read.

Names that the field already tails are kept from the origin's log: ``iter, ts, stage, verdict_ok, rail, reason,
proposal, diff, candidate_cfg, eval_metrics, val_bpb, baseline_val_bpb, improvement_frac, decision, is_new_best,
iter_wall_s``. A value that was not measured is ``null``, never 0. Every time span is in seconds, every size in bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    model_serializer,
    model_validator,
)

from autoresearch.core.climb_record import Climb
from autoresearch.core.earlier_curve import EarlierCurve
from autoresearch.core.early_stop_record import StoppedEarly as StoppedEarly
from autoresearch.core.llm_calls import LlmCall
from autoresearch.core.measurement import Cause, Failure, Mark, Measurement, Outcome, Suspended
from autoresearch.core.metric import Metric, MetricKind, loss_of, one_of, refuse_two_values, value_of
from autoresearch.core.power import Metering
from autoresearch.core.race_record import Race as Race
from autoresearch.core.record_bases import Attempt as Attempt
from autoresearch.core.record_bases import CandidateTried as CandidateTried
from autoresearch.core.record_bases import EstimateRecord as EstimateRecord
from autoresearch.core.record_bases import Event as Event
from autoresearch.core.record_bases import Iteration as Iteration
from autoresearch.core.record_bases import KnobChange as KnobChange
from autoresearch.core.record_bases import Metered as Metered
from autoresearch.core.record_bases import ProposalRecord as ProposalRecord
from autoresearch.core.side_trial_record import SideTrial as SideTrial
from autoresearch.core.side_trial_record import SideTrialStarted as SideTrialStarted
from autoresearch.core.side_trial_record import SideTrialSuspended as SideTrialSuspended
from autoresearch.core.stopped_trial import EarlyStopRule, StopPlan, StopPoint
from autoresearch.core.values import Cfg, decode_record
from autoresearch.core.values import FrozenModel as FrozenModel
from autoresearch.verdicts.sequential import Label

SCHEMA_VERSION = 1
LEFT_OUT_IF_NULL = ("for_iter", "workers")  # of a run in which one trial is at work: its records are as they were


DisturbedBaseline = Literal["wait", "repeat", "refuse"]


class CommandYardstick(FrozenModel):
    """What makes two measurements of trainer ``command`` comparable, beside versions, threads, device and budget."""

    argv: tuple[str, ...]
    files_sha256: str  # of the names and contents of all files that it can read
    files: int
    commit: str | None  # of the git checkout; null outside of one. Uncommitted changes are in files_sha256
    settings_sha256: str  # of every other setting of [command]
    metric: MetricKind
    seeded: bool  # whether it takes a seed; if not, trials with equal seeds have nothing in common
    owns_budget: bool  # whether the script keeps its own budget, which is not handed to it


class Yardstick(FrozenModel):
    """What makes two val_bpb comparable. Two runs that differ in any field are not compared."""

    corpus_sha256: str | None  # null, as the five that follow, where a command trains and measures
    tokenizer_sha256: str | None
    span_start_token: int | None
    span_tokens: int | None
    span_bytes: int | None
    evaluator_version: int | None
    trainer: str
    versions: dict[str, str]  # torch, and whatever else computes
    threads: int
    device_kind: str
    budget_kind: Literal["flops", "steps", "tokens", "seconds"]
    budget_size: float  # of kind flops: in steps of the baseline, whose FLOPs are every trial's budget
    budget_flops: int | None = None  # that budget in FLOPs; null for another kind
    initialisation: int = 1  # 1: all weights from one stream; 2: each matrix from its own
    compiled: bool = False
    data_parallel: int = 1
    tensor_parallel: int = 1
    fp8_recipe: str | None = None  # null where nothing is computed in fp8
    command: CommandYardstick | None = None  # of trainer command; null for every other

    @model_serializer(mode="wrap")
    def _as_before(self, serialize: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def]  # noqa: ANN202
        """Leave ``command`` out where it is null: the hash of a yardstick without one stays what it was.

        Without a return type, or the schema would lose the fields.
        """
        fields: dict[str, Any] = serialize(self)
        if self.command is None:
            fields.pop("command", None)
        return fields


class DecisionRule(FrozenModel):
    """How a candidate's trials are judged against the baseline's: docs/verdicts.md."""

    kind: Literal["threshold", "sequential"] = "threshold"
    accept_delta_frac: float
    seed: int  # of the first trial of each configuration; further ones follow it
    baseline_seeds: int = 1
    alpha: float | None = None  # of rule sequential, as what follows; null otherwise
    min_seeds: int | None = None
    max_seeds: int | None = None
    futility_frac: float | None = None
    clip: float | None = None
    confirm: Literal["best"] | None = None  # best: only what beats the best keep so far gets more seeds; null: all
    own_seeds: int | None = None  # null in older records: none


class EarlierRun(FrozenModel):
    """What an earlier run on the same yardstick says of the noise, with which this run began.

    Standard deviations of one paired gain, fractions of the baseline: from repeated gains, and from the baseline's own
    trials as if equal seeds had nothing in common; with their degrees of freedom, 0 where nothing was repeated.
    ``curves``: its full loss curves for early stopping, in their order, where its baseline is this run's too.
    """

    run_id: str
    gains_sd_frac: float
    gains_df: float
    trials_sd_frac: float
    trials_df: float
    curves: tuple[EarlierCurve, ...] = ()


class Evidence(FrozenModel):
    """What a verdict of rule ``sequential`` rests on. Gains are paired by seed: (baseline - candidate) / baseline."""

    label: Label
    test: int  # which test of this run directory this was, from 1
    seeds: tuple[int, ...]
    baseline_trials: tuple[int, ...]  # the trial of each seed
    gains_frac: tuple[float, ...]  # by seed
    low_frac: float | None  # interval of the mean gain at the level of this test; null without a known noise
    high_frac: float | None
    statistic: float
    critical: float | None  # what the statistic had to reach; null without a known noise
    # P(T >= statistic) without a gain, one-sided, at this look alone; null in older records and without a known noise.
    p: float | None = None
    sd_frac: float  # noise of one paired difference
    df: float  # its degrees of freedom; 0 without a known noise
    alpha: float  # that this test may spend
    alpha_spent: float  # by all tests up to this one


class Meta(Event):
    """The first record: everything that is fixed for the whole run."""

    stage: Literal["meta"] = "meta"
    schema_version: int
    run_id: str
    autoresearch_version: str
    profile: str
    yardstick: Yardstick
    yardstick_sha256: str
    baseline_cfg: Cfg
    menu: dict[str, Any]
    policy_sha256: str  # of baseline, effective menu and decision rule
    decision_rule: DecisionRule
    val_overlap: float | None = None  # share of validation that occurs verbatim in train; null where it is unknown
    disturbed_baseline: DisturbedBaseline | None = None  # the setting; null in older runs: repeated once
    vocab: int | None = None  # of the corpus, with which the records count FLOPs; null in older records
    earlier_runs: tuple[EarlierRun, ...] = ()  # whose noise is pooled with this run's
    climb: Climb | None = None  # null: the baseline is not the winner of an earlier run


class Started(Event):
    """A daemon begins or continues the run."""

    stage: Literal["started"] = "started"
    pid: int
    host: str
    boot_id: str
    autoresearch_version: str
    proposer: str
    iters_requested: int
    torn_bytes: int = 0  # what a crash had left of a half-written line, cut off and kept aside
    metering: Metering | None = None  # null where no sensor was looked for
    ends_at: str | None = None  # when `until` or the window ends the run, in local time with its offset from UTC
    zone: str | None = None  # the abbreviation of the zone of ends_at, for example CET
    early_stop: EarlyStopRule | None = None  # null: no trial is stopped early
    workers: int | None = None  # how many trials may be at work; left out where it is one


class TrialStarted(Event):
    """Durable before a trial begins, so that one that takes the machine down is remembered."""

    stage: Literal["trial_started"] = "trial_started"
    trial: int
    iter: int  # 0 for the baseline
    seed: int
    cfg: Cfg
    boot_id: str
    continues: bool = False  # from the checkpoint of its last suspension
    stop: StopPlan | None = None  # null: it may not be stopped early
    for_iter: int | None = None  # of a parallel run, for which iteration the baseline is measured; else left out


class TrialSuspended(Metered):
    """A trial was suspended before its end, for a pause or a stop. It resumes under the same number.

    ``power`` is of the phases of this part alone.
    """

    stage: Literal["trial_suspended"] = "trial_suspended"
    trial: int
    iter: int
    seed: int
    suspended: Suspended
    for_iter: int | None = None  # as when it started
    device: str | None = None  # as in ``trial``


class TrialEnded(Metered):
    """A trial's measurement or failure; ``power`` is of its own phases alone, and of its last part."""

    stage: Literal["trial"] = "trial"
    trial: int
    iter: int
    seed: int
    outcome: Outcome
    marks: tuple[Mark, ...] = ()
    void: bool = False  # repeated because of its marks, or because an input changed meanwhile; only its joules count
    would_stop: StopPoint | None = None  # of an audited trial that ran on: where it would have been stopped
    for_iter: int | None = None  # as when it started
    device: str | None = (
        None  # of a parallel run: whose own meter ``power`` is of; the run's power has these joules too
    )


class Baseline(Metered):
    """The fixed baseline, measured."""

    stage: Literal["baseline"] = "baseline"
    baseline_cfg: Cfg
    baseline_val_bpb: float | None  # the mean; null where the metric is another one
    trials: tuple[int, ...]
    eval_metrics: Measurement
    wall_s: float
    metric: Metric | None = None  # the mean; null where the metric is bits per byte

    model_config = ConfigDict(json_schema_extra=one_of("baseline_val_bpb", "metric"))

    @model_validator(mode="after")
    def _one_value(self) -> Self:
        refuse_two_values("baseline_val_bpb", self.baseline_val_bpb, "metric", self.metric)
        return self

    @property
    def value(self) -> float:
        """The mean of the metric."""
        return value_of(self.baseline_val_bpb, self.metric)

    @property
    def loss(self) -> float:
        """The mean as a loss, of which less is better."""
        return loss_of(self.value, self.metric.direction if self.metric else "lower")


class Proposed(Metered):
    """A candidate passed the gate: from here on its iteration survives a restart."""

    stage: Literal["proposed"] = "proposed"
    iter: int
    source: str
    proposal: ProposalRecord
    diff: str
    candidate_cfg: Cfg
    estimate: EstimateRecord | None
    attempts: tuple[Attempt, ...]
    llm_calls: tuple[LlmCall, ...] = ()
    propose_wall_s: float


class Evaluated(CandidateTried):
    """A candidate was measured and judged. ``is_new_best``: the best single measurement so far."""

    stage: Literal["evaluated"] = "evaluated"
    eval_metrics: Measurement
    val_bpb: float | None  # null, as the baseline's, where the metric is another one
    baseline_val_bpb: float | None
    improvement_frac: float
    decision: Literal["keep", "revert"]
    is_new_best: bool
    evidence: Evidence | None = None  # null under rule threshold
    # Of the trials that were compared, where their speed may have decided: empty unless the budget is in seconds.
    marks: tuple[Mark, ...] = ()
    baseline_marks: tuple[Mark, ...] = ()
    metric: Metric | None = None  # the mean; null, as the baseline's, where the metric is bits per byte
    baseline_metric: Metric | None = None

    model_config = ConfigDict(json_schema_extra=one_of("val_bpb", "metric"))

    @model_validator(mode="after")
    def _one_value(self) -> Self:
        refuse_two_values("val_bpb", self.val_bpb, "metric", self.metric)
        refuse_two_values("baseline_val_bpb", self.baseline_val_bpb, "baseline_metric", self.baseline_metric)
        return self

    @property
    def value(self) -> float:
        """The mean of the metric."""
        return value_of(self.val_bpb, self.metric)

    @property
    def loss(self) -> float:
        """The mean as a loss, of which less is better."""
        return loss_of(self.value, self.metric.direction if self.metric else "lower")

    @property
    def baseline_loss(self) -> float:
        """The same of the baseline."""
        value = value_of(self.baseline_val_bpb, self.baseline_metric)
        return loss_of(value, self.metric.direction if self.metric else "lower")


class Unsealed(Metered):
    """What a confirmed keep gains on the test split, unsealed once, right after its ``evaluated`` record.

    Gains are paired by seed and relative to the baseline's mean. ``null``: there are too few seeds to say.
    """

    stage: Literal["vault"] = "vault"
    iter: int
    seeds: tuple[int, ...]  # measured on both sides, with both sealed values
    trials: tuple[int, ...]  # the candidate's, by seed
    baseline_trials: tuple[int, ...]
    missing: tuple[int, ...] = ()  # trials whose sealed value is lost; their seeds are left out
    val_gain_frac: float | None  # on the validation span, over these seeds
    test_gain_frac: float | None  # on the span of the test split
    test_low_frac: float | None  # its 95% interval
    test_high_frac: float | None


class EvalFailed(CandidateTried):
    """A candidate could not be measured."""

    stage: Literal["eval_failed"] = "eval_failed"
    eval_metrics: Failure
    cause: Cause
    val_bpb: None = None


class Blocked(Iteration):
    """The rails refused every attempt up to the bound."""

    stage: Literal["blocked"] = "blocked"
    source: str
    proposal: ProposalRecord | None


class ProposerFailed(Iteration):
    """The proposer raised instead of answering."""

    stage: Literal["proposer_failed"] = "proposer_failed"
    source: str


class Paused(Metered):
    """pause.flag was seen, or disk space is short. Consumes no iteration number."""

    stage: Literal["paused"] = "paused"
    reason: str
    waits_for: Literal["user", "disk_space"] = "user"
    completed_iters: int
    requested_iters: int


class Resumed(Metered):
    """pause.flag is gone, or there is disk space again."""

    stage: Literal["resumed"] = "resumed"
    paused_s: float


class SourceCredit(FrozenModel):
    """The results of one source's proposals."""

    source: str
    iterations: int  # closed with a candidate of this source
    measured: int
    failed: int
    keeps: int
    mean_improvement_frac: float | None  # over the measured ones
    best_improvement_frac: float | None
    best_iter: int | None
    stopped_early: int = 0


class Stopped(Metered):
    """The daemon ended in good order before the last requested iteration."""

    stage: Literal["stopped"] = "stopped"
    reason: str
    completed_iters: int
    requested_iters: int
    credit: tuple[SourceCredit, ...] = ()


class LoopComplete(Metered):
    """Every requested iteration is closed. Raising ``--iters`` continues after it."""

    stage: Literal["loop_complete"] = "loop_complete"
    iters_requested: int
    accept_count: int
    revert_count: int
    blocked_count: int
    failed_count: int
    baseline_val_bpb: float | None  # null where the metric is another one
    best_val_bpb: float | None  # of the best keep
    best_iter: int | None
    credit: tuple[SourceCredit, ...] = ()
    baseline_metric: Metric | None = None  # null where the metric is bits per byte
    best_metric: Metric | None = None


IterationRecord = Evaluated | StoppedEarly | EvalFailed | Blocked | ProposerFailed
Record = Annotated[
    Meta
    | Started
    | TrialStarted
    | TrialSuspended
    | TrialEnded
    | Baseline
    | Proposed
    | Evaluated
    | StoppedEarly
    | Unsealed
    | EvalFailed
    | Blocked
    | ProposerFailed
    | SideTrialStarted
    | SideTrialSuspended
    | SideTrial
    | Race
    | Paused
    | Resumed
    | Stopped
    | LoopComplete,
    Field(discriminator="stage"),
]
_RECORD: TypeAdapter[Any] = TypeAdapter(Record)


def encode(record: BaseModel) -> str:
    """Encode a record as one line of ASCII JSON without newline: text of a model cannot control a reader's terminal.

    Half a surrogate pair, which no decoder accepts, becomes a question mark, so that every line can be read back.
    """
    fields = record.model_dump(mode="json")
    for name in LEFT_OUT_IF_NULL:
        if name in fields and fields[name] is None:
            del fields[name]
    ordered = {name: fields[name] for name in ("stage", "ts") if name in fields} | fields
    line = _dump(ordered)
    if "\\ud" not in line:
        return line
    return _dump(json.loads(json.dumps(ordered, ensure_ascii=False).encode("utf-8", "replace")))


def _dump(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, allow_nan=False, ensure_ascii=True, separators=(",", ":"))


def decode(payload: bytes | str) -> Any:
    """Decode a record. Raises ``JournalDamaged`` with the field that is wrong."""
    return decode_record(_RECORD, payload)


def file_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one line of trajectory.jsonl, the journal's ``seq`` and ``crc`` included."""
    schema = _RECORD.json_schema(mode="serialization")
    envelope = {
        "seq": {"type": "integer", "minimum": 0, "description": "Line number, from 0, without gap."},
        "crc": {"type": "string", "pattern": "^[0-9a-f]{8}$", "description": "CRC-32 of the line before this field."},
    }
    for name in {ref.rsplit("/", 1)[1] for ref in schema["discriminator"]["mapping"].values()}:
        schema["$defs"][name]["properties"] |= envelope
        schema["$defs"][name]["required"] = ["seq", "crc", "stage", *schema["$defs"][name].get("required", [])]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "trajectory.jsonl, one line", **schema}


if __name__ == "__main__":
    print(json.dumps(file_schema(), indent=2))
