"""Recompute every decision and early stop of a run from its trials alone, and name the first that differs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from autoresearch.core.confirmation import standing_of
from autoresearch.core.decision import Comparison, Decision, decide, mean_loss
from autoresearch.core.metric import Metric, loss_of
from autoresearch.core.records import Baseline, DecisionRule, Evaluated, Event, Meta, Race, StoppedEarly
from autoresearch.core.trajectory import Totals, Trajectory
from autoresearch.report.difference import Difference as Difference
from autoresearch.report.verify_records import Closed, check_records
from autoresearch.report.verify_side import check_race, check_side_trial
from autoresearch.report.verify_stops import check_stop
from autoresearch.report.verify_trials import check_enough, check_needed


@dataclass(frozen=True, slots=True)
class Verification:
    """How many decisions were recomputed, and the first difference."""

    decisions: int
    difference: Difference | None


def verify(records: Iterable[Event]) -> Verification:
    """Fold the records; before each decision is added, decide again. Raises ``ValueError`` without a meta record."""
    trajectory, checked, closed = Totals(), 0, Closed()
    for record in records:
        trajectory.aim(record)
        difference = check_needed(record, trajectory) or check_stop(record, trajectory)
        difference = difference or check_side_trial(record, trajectory)
        checked += isinstance(record, StoppedEarly)
        if isinstance(record, Baseline):
            difference = difference or _check_baseline(record, trajectory)
        elif isinstance(record, Evaluated):
            difference = difference or _check(record, trajectory, _rule_of(trajectory.meta))
            checked += 1
        elif isinstance(record, Race):
            difference = difference or check_race(record, trajectory)
            checked += 1
        difference = difference or check_records(record, trajectory, closed)
        if difference:
            return Verification(checked, difference)
        trajectory.add(record)
        closed.add(record)
    return Verification(checked, None)


def _rule_of(meta: Meta | None) -> DecisionRule:
    if meta is None:
        raise ValueError("the first record is not meta: the decision rule is unknown")
    return meta.decision_rule


def _check(record: Evaluated, trajectory: Trajectory, rule: DecisionRule) -> Difference | None:
    try:
        found = decide(_rests_on(trajectory, rule), rule)
    except ValueError as e:
        return Difference(record.iter, "trials", list(record.trials), str(e))
    difference = _difference(record.iter, _verdict(record, record), _verdict(_as_then(found, record), record))
    return difference or check_enough(record, trajectory)


def _rests_on(trajectory: Trajectory, rule: DecisionRule) -> Comparison:
    """What a verdict now rests on: of a parallel run the seeds up to the look that decides."""
    compared = trajectory.comparison
    return standing_of(compared, rule).rests_on if trajectory.parallel else compared


def _as_then(found: Decision, record: Evaluated) -> Decision:
    """Without the p-value, where the record is older than it."""
    then, now = record.evidence, found.evidence
    if now is None or then is None or then.p is not None:
        return found
    return replace(found, evidence=now.model_copy(update={"p": None}))


def _verdict(of: Evaluated | Decision, record: Evaluated) -> dict[str, Any]:
    """What is compared, by the names of the record; losses as values of the run's metric."""
    names = ("val_bpb", "baseline_val_bpb") if record.metric is None else ("metric", "baseline_metric")
    losses = (of.loss, of.baseline_loss)
    fields: dict[str, Any] = {"decision": of.decision}
    fields |= {name: _value(loss, record.metric) for name, loss in zip(names, losses, strict=True)}
    return fields | {name: getattr(of, name) for name in ("improvement_frac", "evidence")}


def _value(loss: float, metric: Metric | None) -> float:
    """A loss as people read it: where higher is better, they are each other's negative."""
    return loss_of(loss, metric.direction) if metric else loss


def _check_baseline(record: Baseline, trajectory: Trajectory) -> Difference | None:
    name = "baseline_val_bpb" if record.metric is None else "metric"
    try:
        found: float | str = _value(mean_loss(trajectory.outcomes), record.metric)
    except ValueError as e:
        found = str(e)
    return _difference(0, {name: record.value}, {name: found})


def _difference(n: int, recorded: dict[str, Any], recomputed: dict[str, Any]) -> Difference | None:
    for name, value in recorded.items():
        if value != recomputed[name]:
            return _within(n, name, value, recomputed[name])
    return None


def _within(n: int, name: str, recorded: Any, recomputed: Any) -> Difference:
    """Of two different pieces of evidence, the first field that differs."""
    if name == "evidence" and recorded is not None and recomputed is not None:
        one, other = recorded.model_dump(), recomputed.model_dump()
        field = next(field for field in one if one[field] != other[field])
        return Difference(n, f"evidence.{field}", one[field], other[field])
    return Difference(n, name, recorded, recomputed)
