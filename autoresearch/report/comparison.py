"""Two runs side by side: whether their figures are comparable at all, and what each of them kept. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any, Literal

from autoresearch.core.metric import Metric, MetricKind
from autoresearch.core.values import FrozenModel, KnobValue
from autoresearch.report.energy import EnergyNumbers
from autoresearch.report.history import History, Row, State
from autoresearch.report.measured_gain import (
    GainDifference,
    MeasuredGain,
    baseline_difference,
    gain_difference,
    measured_gain,
)
from autoresearch.report.repeats import PairNumbers
from autoresearch.report.summary import Summary, best_keep, summarise
from autoresearch.report.vault import VaultNumbers
from autoresearch.report.verdicts import relative_sd, relative_sd_interval

SEED = "seed"
Outcome = Literal["keep", "revert", "failed", "blocked", "not tried"]


# Fields of a side that are values of their own.
NOT_DUMPED = {"energy", "metric", "baseline_metric", "best_metric"}


class Difference(FrozenModel):
    """One field that differs between the runs; a value is text, or ``None`` where a run does not have it."""

    name: str
    a: str | None
    b: str | None


class Side(FrozenModel):
    """The figures of one run; those of ``Summary`` under its names."""

    path: str
    run_id: str | None
    profile: str | None
    proposer: str | None
    state: State
    live: bool  # a process is running it now: its figures can change
    warnings: list[str]
    iterations: int
    iters_requested: int | None
    evaluated: int
    keeps: int
    failed: int
    blocked: int
    metric: MetricKind | None = None  # what is measured, if not bits per byte; val_bpb is null then
    baseline_metric: Metric | None = None
    best_metric: Metric | None = None
    baseline_val_bpb: float | None
    baseline_trials: int
    baseline_seeds: int  # measured, also those that a candidate needed later
    baseline_sd_frac: float | None  # of one trial over these seeds; None with one
    baseline_sd_interval: tuple[float, float] | None  # at 95%, for Gaussian noise
    labels: dict[str, int] | None  # candidates by label; None by rule threshold
    best_val_bpb: float | None
    best_iter: int | None
    best_knob: str | None
    best_value: KnobValue | None
    best_improvement_frac: float | None
    best: MeasuredGain | None  # the best keep's
    best_vault: VaultNumbers | None
    repeat_count: int
    repeat_rate: float | None
    wall_s: float | None
    train_s: float | None
    tokens: int | None
    energy_kwh: float | None  # of the trials
    energy: list[EnergyNumbers]  # of the whole run, one per scope


class ComparedChange(FrozenModel):
    """A change that at least one of the runs closed an iteration with, and what became of it in both."""

    knob: str
    new_value: KnobValue
    a: Outcome
    b: Outcome
    a_gain: float | None  # over the run's own baseline; None where it was not measured
    b_gain: float | None
    a_measured: MeasuredGain | None = None  # the same gain with its label, seeds and interval
    b_measured: MeasuredGain | None = None
    difference: GainDifference | None = None  # B - A; None unless both measured it and gains are comparable


class Comparison(FrozenModel):
    """Runs A and B. A change is the same in both if knob and value are, with floats equal within 1e-9 relative."""

    a: Side
    b: Side
    same_yardstick: bool | None  # None: a log does not have it. Only on the same one val_bpb can be compared
    yardstick_differences: list[Difference]
    same_baseline: bool | None  # the configuration that every change was made to
    baseline_differences: list[Difference]
    same_rule: bool | None  # its seed apart: another seed is another measurement of the same
    rule_differences: list[Difference]
    val_bpb_comparable: bool  # the yardstick is the same
    gains_comparable: bool  # the baseline configuration too
    verdicts_comparable: bool  # the rule too
    same_run: bool  # both logs have one run_id: copies, or one before and after it was continued
    baseline_change_frac: float | None  # (A - B) / A of the baselines: positive where B's is better
    baseline_change: GainDifference | None  # the same over every measured seed, with its interval
    opposite: list[ComparedChange]  # kept by one and reverted by the other: for example screened out
    kept_in_both: list[ComparedChange]
    kept_only_in_a: list[ComparedChange]
    kept_only_in_b: list[ComparedChange]
    measured_in_both: int  # changes
    gain_difference_median: float | None  # absolute, over these changes; None unless gains are comparable
    gain_difference_max: float | None
    gain_differences_judged: int  # of these changes: those whose difference has an interval
    gain_differences_beyond_noise: int  # of these: those whose 95% interval excludes 0


def compare(a: History, b: History, paths: tuple[str, str], live: tuple[bool, bool] = (False, False)) -> Comparison:
    """Compare two runs; ``live`` says which of them a process is running now."""
    yardstick = _differences(*(h.yardstick.model_dump(mode="json") if h.yardstick else {} for h in (a, b)))
    baseline, rule = _differences(a.baseline_cfg, b.baseline_cfg), _differences(a.rule, b.rule)
    same_yardstick = None if a.yardstick is None or b.yardstick is None else not yardstick
    same_baseline = not baseline if a.baseline_cfg and b.baseline_cfg else None
    same_rule = all(d.name == SEED for d in rule) if a.rule and b.rule else None
    val_bpb_comparable = same_yardstick is True
    gains_comparable = val_bpb_comparable and same_baseline is True
    changes = list(_changes(a, b, gains_comparable))
    kept = [c for c in changes if "keep" in (c.a, c.b)]
    judged = [c.difference.beyond_noise for c in changes if c.difference]
    gaps = [abs(c.a_gain - c.b_gain) for c in changes if c.a_gain is not None and c.b_gain is not None]
    return Comparison(
        a=_side(a, paths[0], live[0]),
        b=_side(b, paths[1], live[1]),
        same_yardstick=same_yardstick,
        yardstick_differences=yardstick,
        same_baseline=same_baseline,
        baseline_differences=baseline,
        same_rule=same_rule,
        rule_differences=rule,
        val_bpb_comparable=val_bpb_comparable,
        gains_comparable=gains_comparable,
        verdicts_comparable=gains_comparable and same_rule is True,
        same_run=a.run_id is not None and a.run_id == b.run_id,
        baseline_change_frac=_baseline_change(a, b) if val_bpb_comparable else None,
        baseline_change=baseline_difference(a.baseline_bpbs, b.baseline_bpbs) if val_bpb_comparable else None,
        opposite=_by_gain(c for c in kept if "revert" in (c.a, c.b)),
        kept_in_both=_by_gain(c for c in kept if c.a == c.b),
        kept_only_in_a=_by_gain(c for c in kept if c.b != "keep"),
        kept_only_in_b=_by_gain(c for c in kept if c.a != "keep"),
        measured_in_both=len(gaps),
        gain_difference_median=median(gaps) if gaps and gains_comparable else None,
        gain_difference_max=max(gaps) if gaps and gains_comparable else None,
        gain_differences_judged=sum(b is not None for b in judged),
        gain_differences_beyond_noise=sum(b is True for b in judged),
    )


def comparison_json(comparison: Comparison) -> str:
    """Indented JSON in ASCII, as that of a summary."""
    return json.dumps(comparison.model_dump(mode="json"), indent=2, allow_nan=False)


def _side(history: History, path: str, live: bool) -> Side:
    s: Summary = summarise(history)
    fields = s.model_dump(include=set(Side.model_fields), exclude=NOT_DUMPED)
    best = best_keep(history.rows)
    return Side(
        path=path,
        live=live,
        blocked=sum(s.blocked_by_rail.values()),
        baseline_trials=history.baseline.trials if history.baseline else 0,
        baseline_seeds=len(history.baseline_bpbs),
        baseline_sd_frac=relative_sd(history.baseline_bpbs),
        baseline_sd_interval=relative_sd_interval(history.baseline_bpbs),
        labels=s.verdicts.labels if s.verdicts else None,
        best=measured_gain(best, history) if best else None,
        best_vault=next((v for v in s.vault if best and v.iter == best.iter), None),
        energy=s.energy,
        metric=s.metric,
        baseline_metric=s.baseline_metric,
        best_metric=s.best_metric,
        **fields,
    )


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    """The fields that differ, those of a nested table one by one."""
    mine, other = dict(_flat(a)), dict(_flat(b))
    names = [name for name in {**mine, **other} if mine.get(name) != other.get(name)]
    return [Difference(name=name, a=_text(mine.get(name)), b=_text(other.get(name))) for name in names]


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _text(value: object) -> str | None:
    return None if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)


def _baseline_change(a: History, b: History) -> float | None:
    before, after = a.baseline_val_bpb, b.baseline_val_bpb
    if before is None or after is None or not before:
        return None
    return (before - after) / abs(before)


def _changes(a: History, b: History, comparable: bool) -> Iterator[ComparedChange]:
    """Every change that either run closed an iteration with, and its best-known outcome in both."""
    pairs = PairNumbers()
    names: dict[int, tuple[str, KnobValue]] = {}
    found: dict[int, tuple[list[Row], list[Row]]] = {}
    for place, history in enumerate((a, b)):
        for row in history.rows:
            if row.knob is not None and row.new_value is not None:
                number = pairs.number_of(row.knob, row.new_value)
                names.setdefault(number, (row.knob, row.new_value))
                found.setdefault(number, ([], []))[place].append(row)
    for number, (in_a, in_b) in found.items():
        (a_outcome, a_gain), (b_outcome, b_gain) = _outcome(in_a, a), _outcome(in_b, b)
        knob, value = names[number]
        yield ComparedChange(
            knob=knob,
            new_value=value,
            a=a_outcome,
            b=b_outcome,
            a_gain=a_gain.gain_frac if a_gain else None,
            b_gain=b_gain.gain_frac if b_gain else None,
            a_measured=a_gain,
            b_measured=b_gain,
            difference=gain_difference(a_gain, b_gain) if a_gain and b_gain and comparable else None,
        )


def _outcome(rows: Sequence[Row], history: History) -> tuple[Outcome, MeasuredGain | None]:
    """A measurement counts before a failure, and a failure before a refusal; of several the last."""
    if measured := [r for r in rows if r.stage == "evaluated"]:
        return ("keep" if measured[-1].decision == "keep" else "revert"), measured_gain(measured[-1], history)
    if any(r.stage == "stopped_early" for r in rows):
        return "revert", None
    if any(r.stage == "eval_failed" for r in rows):
        return "failed", None
    return ("blocked" if rows else "not tried"), None


def _by_gain(changes: Iterable[ComparedChange]) -> list[ComparedChange]:
    return sorted(changes, key=lambda c: -max(g for g in (c.a_gain, c.b_gain, 0.0) if g is not None))
