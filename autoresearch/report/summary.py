"""A run in numbers: the output of `autoresearch status --json` and `report --json`. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, Literal

from autoresearch.core.metric import Metric, MetricKind, MetricWords
from autoresearch.core.power import JOULES_PER_KWH as JOULES_PER_KWH
from autoresearch.core.records import Race, Yardstick
from autoresearch.core.values import FrozenModel, KnobValue
from autoresearch.report.by_source import SourceNumbers, source_numbers
from autoresearch.report.climb import ClimbNumbers, climb_numbers
from autoresearch.report.early_stops import EarlyStopNumbers, early_stop_numbers
from autoresearch.report.energy import EnergyNumbers, energy_numbers
from autoresearch.report.history import History, Row, State, total
from autoresearch.report.importance import KnobImportance, knob_importance
from autoresearch.report.llm import LlmNumbers, llm_numbers
from autoresearch.report.promotion import Certificate
from autoresearch.report.research import JudgedProposal, ResearchNumbers, judge_proposals, research_numbers
from autoresearch.report.stack import StackNumbers, stack_numbers
from autoresearch.report.vault import VaultNumbers, vault_numbers
from autoresearch.report.verdicts import VerdictNumbers, verdict_numbers

TOP_PAIRS = 10


class PairCount(FrozenModel):
    """The number of iterations that proposed one value for one knob."""

    knob: str
    new_value: KnobValue
    count: int


@dataclass(frozen=True, slots=True)
class RatiosOfIteration:
    """What a measured candidate cost, divided by what the baseline cost; ``None`` where one is unknown."""

    iter: int
    decision: Literal["keep", "revert"] | None
    tokens: float | None
    flops: float | None
    seconds: float | None
    joules: float | None
    equal_flops_gain_low: float | None = None  # about the gain at equal FLOPs, read from the loss curves; None where
    equal_flops_gain_high: float | None = None  # the FLOPs are equal or it is not known


class Summary(FrozenModel):
    """The counts and sums of a run. ``None`` means unknown; units are in the names.

    An iteration counts when it is closed, in exactly one of four ways, so that
    ``iterations = keeps + reverts + sum(blocked_by_rail) + failed``. A trial that was stopped early is a revert.
    A proposal counts when its iteration is closed, also if a rail refused it:
    ``sum(knob_counts) = unique_pairs + repeat_count``.
    """

    log_format: Literal["autoresearch", "origin"]
    run_id: str | None
    profile: str | None
    proposer: str | None  # of the last start
    yardstick: Yardstick | None
    state: State  # from the records alone, see History
    stop_reason: str | None
    iters_requested: int | None
    ends_at: str | None = None  # when the clock ends the last start: local time with its offset from UTC
    zone: str | None = None  # the abbreviation of that zone

    iterations: int  # closed
    evaluated: int  # judged: keeps + reverts, those that were stopped early included
    keeps: int
    reverts: int
    keep_iters: list[int]
    blocked_by_rail: dict[str, int]  # iterations in which every attempt was refused, by the rail that refused the last
    refused_attempts_by_rail: dict[str, int]  # every refused attempt, also where a later one passed
    failed: int  # no measurement (failed_by_cause) or no proposal (proposer_failed)
    failed_by_cause: dict[str, int]  # iterations with a failed trial
    proposer_failed: int  # iterations whose proposer raised

    knobs_total: int  # on the menu
    knobs_touched: list[str]  # those of the menu that were proposed at least once, in its order
    knobs_untouched: list[str]  # the others
    knob_counts: dict[str, int]  # proposals by knob, those off the menu last; none with 0
    repeat_count: int  # proposals whose (knob, value) an earlier iteration had proposed
    repeat_rate: float | None  # of all proposals
    unique_pairs: int
    top_pairs: list[PairCount]  # the most frequent first, at most 10
    importance: list[KnobImportance]  # of the measured knobs, the most important first

    cost_ratios: list[RatiosOfIteration]  # of every measured candidate, per trial

    sources: list[SourceNumbers]  # in the order of their first proposals
    llm: LlmNumbers | None  # None where no LLM was called

    early_stops: EarlyStopNumbers | None = None  # None where no trial was stopped and none would have been
    stack: StackNumbers | None = None  # None where no union of keeps was tried
    vault: list[VaultNumbers]  # of the keeps whose vault is unsealed
    climb: ClimbNumbers | None = None  # None where the baseline is not the winner of an earlier run
    race: Race | None = None  # of the best keeps and the baseline; None: there was none
    promotion: Certificate | None = None  # whether the winner holds when it is trained longer; None: not tried
    research: ResearchNumbers  # researching or flailing?

    metric: MetricKind | None = None  # what is measured, if not bits per byte; the fields with val_bpb are null then
    baseline_metric: Metric | None = None
    best_metric: Metric | None = None  # of the best keep
    best_single_metric: Metric | None = None  # of any single trial, the baseline's included; not a verdict
    accept_delta_frac: float | None
    verdicts: VerdictNumbers | None = None  # None by rule threshold
    baseline_val_bpb: float | None
    baseline_failure: str | None = None  # why it failed, if it did since the last start
    best_val_bpb: float | None  # of the best keep: the lowest mean, or the largest paired gain; None without a keep
    best_iter: int | None
    best_knob: str | None
    best_value: KnobValue | None
    best_improvement_frac: float | None  # (baseline - best) / baseline
    lowest_val_bpb: float | None  # of any single trial, the baseline's included; not a verdict
    lowest_iter: int | None  # 0: the baseline's

    wall_s: float | None  # iterations and baseline, without pauses: the sum of the next five where all are known
    train_s: float | None  # in trials that were measured
    eval_s: float | None
    failed_s: float | None  # in trials that failed, or were discarded and run again
    propose_s: float | None
    overhead_s: float | None
    overhead_mean_s: float | None  # of evaluated iterations: one without a trial has almost none
    overhead_median_s: float | None
    tokens: int | None  # trained on
    peak_bytes: int | None
    energy_kwh: float | None  # of the trials that were metered, by any sensor
    energy: list[EnergyNumbers]  # of the whole run, trials or not, one per scope, the longest metered first
    device_j: dict[str, float]  # joules of the trials on each of several devices that were metered by themselves
    price_per_kwh: float | None
    currency: str | None
    marks: dict[str, int]  # number of trials per mark: throttled, contended, slow
    voided: int  # trials that were discarded and run again because of their marks
    deadline_extended_s: float | None  # by which the deadlines of slowed trials were moved; None: none was
    deadline_extended_iters: list[int]  # the iterations of these trials, 0 for the baseline
    warnings: list[str]  # what could not be read of a damaged log; the numbers count only what is whole

    @property
    def baseline_result(self) -> float | None:
        """The baseline's mean, of whatever is measured."""
        return self.baseline_metric.value if self.baseline_metric else self.baseline_val_bpb

    @property
    def best_result(self) -> float | None:
        """That of the best keep."""
        return self.best_metric.value if self.best_metric else self.best_val_bpb

    @property
    def lowest_result(self) -> float | None:
        """The best single measurement."""
        return self.best_single_metric.value if self.best_single_metric else self.lowest_val_bpb

    @property
    def words(self) -> MetricWords:
        """How to name what is measured."""
        return MetricWords(self.metric)


def summarise(history: History, *, brief: bool = False) -> Summary:
    """Compute the summary; the fields of ``Summary`` document the definitions.

    ``brief`` leaves ``cost_ratios`` and ``importance`` empty: the text of ``status`` has neither.
    """
    costs = _costs(history)
    proposals = judge_proposals(history)
    return Summary(
        log_format=history.log_format,
        run_id=history.run_id,
        profile=history.profile,
        proposer=history.proposer,
        yardstick=history.yardstick,
        state=history.state,
        stop_reason=history.stop_reason,
        ends_at=history.ends_at,
        zone=history.zone,
        iters_requested=history.iters_requested,
        accept_delta_frac=history.accept_delta_frac,
        verdicts=verdict_numbers(history),
        warnings=list(history.warnings),
        cost_ratios=[_ratios(row) for row in history.rows if row.stage == "evaluated" and not brief],
        sources=source_numbers(history.rows),
        llm=llm_numbers(history.rows, costs["wall_s"]),
        importance=[] if brief else knob_importance(history),
        early_stops=early_stop_numbers(history.rows),
        stack=stack_numbers(history.rows),
        vault=vault_numbers(history.rows),
        climb=climb_numbers(history),
        race=history.race,
        promotion=history.certificate,
        research=research_numbers(history, best_keep(history.rows), proposals),
        **_counts(history.rows),
        **_energy(history),
        **_coverage(history),
        **_repeats(proposals),
        **_results(history),
        **_extensions(history),
        **costs,
    )


def summary_json(summary: Summary) -> str:
    """Indented JSON in ASCII: text that a model wrote cannot control the terminal."""
    return json.dumps(summary.model_dump(mode="json"), indent=2, allow_nan=False)


def best_keep(rows: Iterable[Row]) -> Row | None:
    """The keep with the largest gain, in a log without gains that with the lowest val_bpb; of equal ones the first."""
    kept = [row for row in rows if row.decision == "keep" and row.val_bpb is not None]
    # by rule sequential their means are of different seeds; a gain is one in whatever direction the metric goes
    if kept and all(row.improvement_frac is not None for row in kept):
        return max(kept, key=lambda row: row.improvement_frac or 0.0)
    return min(kept, key=lambda row: row.val_bpb or 0.0, default=None)


def time_by_activity(summary: Summary) -> dict[str, float | None]:
    """The parts of ``wall_s`` in seconds, by the label that a user reads."""
    return {
        "training": summary.train_s,
        "validation": summary.eval_s,
        _lost_trials(summary): summary.failed_s,
        "proposer": summary.propose_s,
        "overhead": summary.overhead_s,
    }


def _lost_trials(summary: Summary) -> str:
    """The label of ``failed_s``: a trial that was discarded and run again did not fail."""
    if not summary.voided:
        return "failed trials"
    return "failed or discarded trials" if summary.failed_by_cause else "discarded trials"


def _ratios(row: Row) -> RatiosOfIteration:
    low, high = row.equal_flops_gain or (None, None)
    ratios = row.ratios  # field by field: asdict copies, which takes a quarter of a second for a long run
    return RatiosOfIteration(
        iter=row.iter,
        decision=row.decision,
        tokens=ratios.tokens,
        flops=ratios.flops,
        seconds=ratios.seconds,
        joules=ratios.joules,
        equal_flops_gain_low=low,
        equal_flops_gain_high=high,
    )


def _counts(rows: Sequence[Row]) -> dict[str, Any]:
    stages = Counter(row.stage for row in rows)
    refused: Counter[str] = Counter()
    for row in rows:
        refused.update(row.refused)
    return {
        "iterations": len(rows),
        "evaluated": stages["evaluated"] + stages["stopped_early"],
        "keeps": sum(row.decision == "keep" for row in rows),
        "reverts": sum(row.decision == "revert" for row in rows),
        "keep_iters": [row.iter for row in rows if row.decision == "keep"],
        "blocked_by_rail": _sorted(Counter(row.rail or "unknown" for row in rows if row.stage == "blocked")),
        "refused_attempts_by_rail": _sorted(refused),
        "failed": stages["eval_failed"] + stages["proposer_failed"],
        "failed_by_cause": _sorted(Counter(row.cause or "unknown" for row in rows if row.stage == "eval_failed")),
        "proposer_failed": stages["proposer_failed"],
    }


def _coverage(history: History) -> dict[str, Any]:
    counts = Counter(name for row in history.rows if row.knob is not None for name in dict(row.several) or (row.knob,))
    touched = [name for name in history.knobs if name in counts]
    off_menu = sorted(set(counts) - set(history.knobs))
    return {
        "knobs_total": len(history.knobs),
        "knobs_touched": touched,
        "knobs_untouched": [name for name in history.knobs if name not in counts],
        "knob_counts": {name: counts[name] for name in [*touched, *off_menu]},
    }


def _repeats(proposals: Sequence[JudgedProposal]) -> dict[str, Any]:
    counts = Counter(proposal.number for proposal in proposals)
    first = {proposal.number: proposal.row for proposal in reversed(proposals)}
    repeats = len(proposals) - len(counts)
    return {
        "repeat_count": repeats,
        "repeat_rate": repeats / len(proposals) if proposals else None,
        "unique_pairs": len(counts),
        "top_pairs": [
            PairCount(knob=first[number].knob or "", new_value=first[number].new_value or 0, count=count)
            for number, count in counts.most_common(TOP_PAIRS)  # of equal ones the first proposed
        ],
    }


def _results(history: History) -> dict[str, Any]:
    best = best_keep(history.rows)
    measured = [row for row in _all_rows(history) if row.lowest_val_bpb is not None]
    lowest = min(measured, key=lambda row: history.loss(row.lowest_val_bpb or 0.0), default=None)
    results = {
        "baseline": history.baseline_val_bpb,
        "best": best.val_bpb if best else None,
        "lowest": lowest.lowest_val_bpb if lowest else None,
    }
    return {
        **_values(results, history.metric),
        "baseline_failure": history.baseline_failure,
        "best_iter": best.iter if best else None,
        "best_knob": best.knob if best else None,
        "best_value": best.new_value if best else None,
        "best_improvement_frac": best.improvement_frac if best else None,
        "lowest_iter": lowest.iter if lowest else None,
    }


def _values(results: Mapping[str, float | None], kind: MetricKind | None) -> dict[str, Any]:
    """The fields of these results: ``val_bpb``, or the metric by its name with ``val_bpb`` null."""
    if kind is None:
        return {f"{name}_val_bpb": value for name, value in results.items()}
    fields: dict[str, Any] = {"metric": kind} | {f"{name}_val_bpb": None for name in results}
    for name, value in results.items():
        field = "best_single_metric" if name == "lowest" else f"{name}_metric"
        fields[field] = None if value is None else Metric(name=kind.name, value=value, direction=kind.direction)
    return fields


def _costs(history: History) -> dict[str, Any]:
    rows = _all_rows(history)
    overheads = [row.overhead_s for row in rows if row.stage == "evaluated" and row.overhead_s is not None]
    trained = [n for row in rows for n in (row.tokens, row.baseline_tokens) if n is not None]
    return {
        "wall_s": total(*(row.wall_s for row in rows)),
        "train_s": total(*(row.train_s for row in rows)),
        "eval_s": total(*(row.eval_s for row in rows)),
        "failed_s": total(*(row.failed_s for row in rows)),
        "propose_s": total(*(row.propose_s for row in rows)),
        "overhead_s": total(*(row.overhead_s for row in rows)),
        "overhead_mean_s": fmean(overheads) if overheads else None,
        "overhead_median_s": median(overheads) if overheads else None,
        "tokens": sum(trained) if trained else None,
        "peak_bytes": max((row.peak_bytes for row in rows if row.peak_bytes is not None), default=None),
        "energy_kwh": history.energy_j / JOULES_PER_KWH if history.energy_j is not None else None,
    }


def _extensions(history: History) -> dict[str, Any]:
    extended = [row for row in _all_rows(history) if row.deadline_extended_s]
    return {
        "deadline_extended_s": total(*(row.deadline_extended_s for row in extended)),
        "deadline_extended_iters": [row.iter for row in extended],
    }


def _energy(history: History) -> dict[str, Any]:
    metering = history.metering
    return {
        "energy": energy_numbers(history.power, metering),
        "device_j": dict(history.device_j),
        "price_per_kwh": metering.price_per_kwh if metering else None,
        "currency": metering.currency if metering else None,
        "marks": {str(mark): count for mark, count in sorted(history.marks.items())},
        "voided": history.voided,
    }


def _all_rows(history: History) -> list[Row]:
    return [*([history.baseline] if history.baseline else []), *history.rows]


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in sorted(counts)}
