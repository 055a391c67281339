"""The JSON object that a hook receives; ``message`` is one line for a person. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autoresearch.config.settings import HookEvent
from autoresearch.core.metric import Metric, MetricWords
from autoresearch.core.records import EvalFailed, Evaluated, ProposalRecord, ProposerFailed
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.trial_marks import describe_disturbance
from autoresearch.report.format import NAME_CELLS, format_bpb, format_changes, safe
from autoresearch.report.verdict_text import describe_verdict
from autoresearch.report.verdicts import corrected_frac

REASON_CELLS = 500
Subject = Evaluated | EvalFailed | ProposerFailed


@dataclass(frozen=True, slots=True)
class Notice:
    """One event. Fields that do not apply are ``None``; control characters from proposer or trial are escaped."""

    event: HookEvent
    message: str
    ts: str
    host: str
    run_dir: str
    run_id: str | None
    profile: str
    iteration: int | None  # that the event concerns
    iterations_closed: int
    iterations_requested: int
    change: str | None  # for example "lr = 0.003"
    val_bpb: float | None  # null, as the baseline's, where the metric is another one
    improvement_frac: float | None
    reason: str
    baseline_val_bpb: float | None
    best: dict[str, Any] | None  # the best keep so far
    metric: dict[str, Any] | None = None  # name, value and direction, where it is not bits per byte
    baseline_metric: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is the same in every notice of a run."""

    host: str
    run_dir: str
    profile: str
    iters: int


def build_notice(
    event: HookEvent, reason: str, trajectory: Trajectory, run: RunInfo, ts: str, about: Subject | None = None
) -> Notice:
    """The notice of ``event`` after ``trajectory``; ``about`` is the record of the iteration that it concerns."""
    baseline, best = trajectory.baseline, trajectory.best
    measured = about if isinstance(about, Evaluated) else None
    tried = about if isinstance(about, Evaluated | EvalFailed) else None
    why = safe(reason, REASON_CELLS)
    return Notice(
        event=event,
        message=f"{event}: {_describe(event, why, trajectory, run.iters, about)}",
        ts=ts,
        host=run.host,
        run_dir=run.run_dir,
        run_id=trajectory.meta.run_id if trajectory.meta else None,
        profile=run.profile,
        iteration=about.iter if about else None,
        iterations_closed=len(trajectory.iterations),
        iterations_requested=run.iters,
        change=_change(tried.proposal) if tried else None,
        val_bpb=measured.val_bpb if measured else None,
        improvement_frac=measured.improvement_frac if measured else None,
        reason=why,
        baseline_val_bpb=baseline.baseline_val_bpb if baseline else None,
        best=_best(best, trajectory) if best else None,
        metric=_plain_metric(measured.metric if measured else None),
        baseline_metric=_plain_metric(baseline.metric if baseline else None),
    )


def _plain_metric(metric: Metric | None) -> dict[str, Any] | None:
    return metric.model_dump(mode="json") if metric else None


def _describe(event: HookEvent, why: str, trajectory: Trajectory, iters: int, about: Subject | None) -> str:
    closed = f"{len(trajectory.iterations)} of {iters} iterations"
    match about:
        case Evaluated():
            return f"{_result(about)} (iteration {about.iter} of {iters})"
        case EvalFailed():
            return f"{_change(about.proposal)}: {why} (iteration {about.iter} of {iters})"
        case ProposerFailed():
            return f"no proposal: {why} (iteration {about.iter} of {iters})"
    return f"{why}, {closed} closed; {_standing(trajectory)}" if event == "finished" else f"{why}, after {closed}"


def _standing(trajectory: Trajectory) -> str:
    if trajectory.best:
        return f"best: {_result(trajectory.best)} (iteration {trajectory.best.iter})"
    if trajectory.baseline:
        return f"no keep, the baseline's {format_bpb(trajectory.baseline.value)} stands"
    return "the baseline is not measured"


def _result(record: Evaluated) -> str:
    disturbed = describe_disturbance(record.marks, record.baseline_marks)
    mark = disturbed and f" ({disturbed})"
    if record.evidence:
        return f"{_change(record.proposal)}, {describe_verdict(record.improvement_frac, record.evidence)}{mark}"
    words = MetricWords(record.metric.kind if record.metric else None)
    gain = f"{100 * record.improvement_frac:.2f}% {words.beyond} the baseline"
    return f"{_change(record.proposal)}, {safe(words.name, NAME_CELLS)} {format_bpb(record.value)}, {gain}{mark}"


def _best(record: Evaluated, trajectory: Trajectory) -> dict[str, Any]:
    """The best keep; by rule sequential also what its verdict rests on."""
    best = {
        "iteration": record.iter,
        "change": _change(record.proposal),
        "val_bpb": record.val_bpb,
        "improvement_frac": record.improvement_frac,
        "marks": list(record.marks),
        "baseline_marks": list(record.baseline_marks),
    } | ({"metric": _plain_metric(record.metric)} if record.metric else {})
    if (evidence := record.evidence) is None:
        return best
    return best | {
        "label": evidence.label,
        "seeds": len(evidence.seeds),
        "low_frac": evidence.low_frac,
        "high_frac": evidence.high_frac,
        "corrected_gain_frac": corrected_frac(record, trajectory.meta.decision_rule if trajectory.meta else None),
        "alpha_spent": evidence.alpha_spent,
    }


def _change(proposal: ProposalRecord) -> str:
    return format_changes(proposal, NAME_CELLS)
