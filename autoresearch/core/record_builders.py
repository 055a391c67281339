"""How the records of an iteration are put together from what happened in it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, assert_never

from autoresearch.core.costs import cost_ratios
from autoresearch.core.decision import Decision
from autoresearch.core.equal_flops import describe_equal_flops, equal_flops_gain
from autoresearch.core.llm_calls import LlmCall
from autoresearch.core.measurement import Cause, Failure, Mark, Measurement, Outcome, Suspended
from autoresearch.core.metric import mean_metric
from autoresearch.core.ports import Normalisation
from autoresearch.core.records import (
    Attempt,
    Blocked,
    EstimateRecord,
    EvalFailed,
    Evaluated,
    KnobChange,
    LoopComplete,
    ProposalRecord,
    Proposed,
    ProposerFailed,
    Stopped,
    StoppedEarly,
    TrialEnded,
)
from autoresearch.core.source_stats import source_credits
from autoresearch.core.stopped_trial import EarlyStop
from autoresearch.core.text import describe_error
from autoresearch.core.trajectory import Trajectory, measurements
from autoresearch.core.trial_marks import deciding_marks, describe_disturbance, is_timed
from autoresearch.core.values import Cfg
from rails import Rail, Verdict

MAX_KEPT_REPLY_CHARS = 4096


@dataclass(frozen=True, slots=True)
class IterationTimes:
    """The seconds of an iteration; pauses are not counted."""

    wall_s: float
    propose_s: float

    def overhead_s(self, trials: Sequence[TrialEnded]) -> float:
        """Return wall time without proposing, training and validation; a failed trial counts as training."""
        trials_s = 0.0
        for trial in trials:
            match trial.outcome:
                case Measurement(train_wall_s=train_s, val_wall_s=val_s):
                    trials_s += train_s + val_s
                case EarlyStop(train_wall_s=train_s):
                    trials_s += train_s
                case Failure(trial_wall_s=wall_s):
                    trials_s += wall_s or 0.0
                case _:
                    assert_never(trial.outcome)
        return max(0.0, self.wall_s - self.propose_s - trials_s)


@dataclass(slots=True)
class AttemptLog:
    """Attempts, LLM calls, replies and seconds (without pauses) spent so far on one iteration's candidate."""

    attempts: list[Attempt] = field(default_factory=list)
    calls: list[LlmCall] = field(default_factory=list)
    replies: int = 0
    propose_s: float = 0.0

    @property
    def record_fields(self) -> dict[str, Any]:
        """The fields that every record built from this log has."""
        return {"attempts": tuple(self.attempts), "llm_calls": tuple(self.calls), "propose_wall_s": self.propose_s}


def build_attempt(
    raw: str,
    source: str,
    verdict: Verdict,
    round: int = 1,  # noqa: A002
    spare: bool = False,
    normalisation: Normalisation | None = None,
) -> Attempt:
    """Build the record of one attempt: bounded, and free of lone surrogates, which UTF-8 cannot hold."""
    return Attempt(
        raw=_bounded(raw),
        source=source,
        verdict_ok=verdict.ok,
        rail=verdict.rail,
        reason=verdict.reason,
        proposal=_proposal(verdict),
        estimate=_estimate(verdict),
        round=round,
        spare=spare,
        normalised=normalisation.changes if normalisation else (),
        original=_bounded(normalisation.original) if normalisation else None,
    )


def _bounded(raw: str) -> str:
    return raw[:MAX_KEPT_REPLY_CHARS].encode("utf-8", "backslashreplace").decode()


def build_proposed(verdict: Verdict, source: str, log: AttemptLog, n: int, ts: str) -> Proposed:
    """Build the record that opens iteration ``n`` with the candidate of ``source`` that passed the gate."""
    proposal = _proposal(verdict)
    if proposal is None or verdict.candidate is None or verdict.diff is None:
        raise ValueError("only a verdict that passed opens an iteration")
    return Proposed(
        ts=ts,
        iter=n,
        source=source,
        proposal=proposal,
        diff=verdict.diff,
        candidate_cfg=dict(verdict.candidate),
        estimate=_estimate(verdict),
        **log.record_fields,
    )


def build_evaluated(
    proposed: Proposed, trajectory: Trajectory, decision: Decision, ts: str, times: IterationTimes
) -> Evaluated:
    """Build the record of a candidate that was measured and judged."""
    measured = measurements(trajectory.outcomes)
    lowest, metric = min(m.loss for m in measured), measured[0].metric
    marks = deciding_marks(trajectory.outcomes, trajectory.meta)
    baseline_marks = deciding_marks(trajectory.baseline_outcomes, trajectory.meta)
    return Evaluated(
        **_candidate(proposed, trajectory, ts, times),
        reason=decision.reason
        + _speed_note(trajectory, marks, baseline_marks)
        + _compute_note(trajectory, decision, proposed.candidate_cfg),
        eval_metrics=measured[0].without_curve(),
        val_bpb=None if metric else decision.loss,
        baseline_val_bpb=None if metric else decision.baseline_loss,
        metric=mean_metric(metric, decision.loss),
        baseline_metric=mean_metric(metric, decision.baseline_loss),
        improvement_frac=decision.improvement_frac,
        decision=decision.decision,
        is_new_best=trajectory.lowest is None or lowest < trajectory.lowest,
        evidence=decision.evidence,
        marks=marks,
        baseline_marks=baseline_marks,
    )


def _speed_note(trajectory: Trajectory, marks: Sequence[Mark], baseline_marks: Sequence[Mark]) -> str:
    """Under a budget in seconds, what a verdict owes to speed: the tokens of both sides, and what disturbed them."""
    if not is_timed(trajectory.meta):
        return ""
    sides = measurements(trajectory.outcomes), measurements(trajectory.baseline_outcomes)
    notes = []
    if (ratio := cost_ratios(*sides).tokens) is not None:
        own, reference = (f"{fmean(m.train_tokens or 0 for m in side):,.0f}" for side in sides)
        notes.append(f"it trained on {own} tokens a trial, the baseline on {reference} ({ratio:.2f} x)")
    notes.append(describe_disturbance(marks, baseline_marks))
    return "".join(f"; {note}" for note in notes if note)


def _compute_note(trajectory: Trajectory, decision: Decision, cfg: Cfg) -> str:
    """Under equal steps or tokens, what a keep would be at equal FLOPs."""
    meta = trajectory.meta
    if decision.decision != "keep" or meta is None or meta.yardstick.budget_kind not in ("steps", "tokens"):
        return ""
    candidate, baseline = measurements(trajectory.outcomes), measurements(trajectory.baseline_outcomes)
    gain = equal_flops_gain(decision.improvement_frac, candidate, baseline, cfg, meta)
    note = describe_equal_flops(cost_ratios(candidate, baseline), gain)
    return f"; {note}" if note else ""


def build_stopped_early(
    proposed: Proposed, trajectory: Trajectory, stop: EarlyStop, ts: str, times: IterationTimes
) -> StoppedEarly:
    """Build the record of a candidate whose trial was stopped early: a revert without a val_bpb."""
    seeds = {t.seed for t in trajectory.outcomes if t.outcome is stop}
    baseline = next(t.trial for t in trajectory.baseline_outcomes if t.seed in seeds)
    expected = stop.stopped_early.predicted_gain_frac
    forecast = "" if expected is None else f", its gain was expected to be {100 * expected:+.1f}%"
    return StoppedEarly(
        **_candidate(proposed, trajectory, ts, times),
        reason=f"{stop.stopped_early.describe()}: it could no longer become a keep{forecast}",
        eval_metrics=stop,
        baseline_trial=baseline,
    )


def build_eval_failed(
    proposed: Proposed, trajectory: Trajectory, failure: Failure, ts: str, times: IterationTimes
) -> EvalFailed:
    """Build the record of a candidate that could not be measured."""
    common = _candidate(proposed, trajectory, ts, times)
    return EvalFailed(**common, reason=failure.detail, eval_metrics=failure, cause=failure.cause)


def build_blocked(n: int, log: AttemptLog, ts: str, wall_s: float) -> Blocked:
    """Build the record of an iteration in which the rails refused every attempt."""
    last = log.attempts[-1]
    return Blocked(
        **_without_candidate(n, log, ts, wall_s),
        rail=last.rail,
        reason=last.reason,
        source=last.source,
        proposal=last.proposal,
    )


def build_proposer_failed(
    n: int, source: str, error: Exception, log: AttemptLog, ts: str, wall_s: float
) -> ProposerFailed:
    """Build the record of an iteration in which the proposer raised."""
    rail = log.attempts[-1].rail if log.attempts else None
    reason = describe_error(error, 1000)
    return ProposerFailed(**_without_candidate(n, log, ts, wall_s), rail=rail, reason=reason, source=source)


def build_loop_complete(trajectory: Trajectory, iters: int, ts: str) -> LoopComplete:
    """Build the record of a run in which every requested iteration is closed."""
    best, stages = trajectory.best, Counter(r.stage for r in trajectory.results)
    keeps = sum(r.is_keep for r in trajectory.results)
    if trajectory.baseline is None:
        raise ValueError("a run without a baseline is not complete")
    return LoopComplete(
        ts=ts,
        iters_requested=iters,
        accept_count=keeps,
        revert_count=stages["evaluated"] + stages["stopped_early"] - keeps,
        blocked_count=stages["blocked"],
        failed_count=stages["eval_failed"] + stages["proposer_failed"],
        baseline_val_bpb=trajectory.baseline.baseline_val_bpb,
        best_val_bpb=best.val_bpb if best else None,
        best_iter=best.iter if best else None,
        baseline_metric=trajectory.baseline.metric,
        best_metric=best.metric if best else None,
        credit=source_credits(trajectory.results),
    )


def build_void(trial: int, n: int, seed: int, outcome: Outcome | Suspended, changed: str, ts: str) -> TrialEnded:
    """A trial during which an input changed: neither its measurement nor its failure counts, and it never resumes."""
    if isinstance(outcome, Suspended):
        detail = f"suspended after step {outcome.step}; {changed}"
        outcome = Failure(cause=Cause.ERROR, detail=detail, trial_wall_s=outcome.trial_wall_s)
    return TrialEnded(ts=ts, trial=trial, iter=n, seed=seed, outcome=outcome, void=True)


def build_stopped(trajectory: Trajectory, iters: int, reason: str, ts: str) -> Stopped:
    """Build the record of a run that ends in good order before its last iteration."""
    return Stopped(
        ts=ts,
        reason=reason,
        completed_iters=len(trajectory.iterations),
        requested_iters=iters,
        credit=source_credits(trajectory.results),
    )


def _proposal(verdict: Verdict) -> ProposalRecord | None:
    if (p := verdict.proposal) is None:
        return None
    also = tuple(KnobChange(knob=knob, new_value=value) for knob, value in p.also)
    return ProposalRecord(knob=p.knob, new_value=p.new_value, reason=p.reason, also=also)


def _estimate(verdict: Verdict) -> EstimateRecord | None:
    cost = verdict.estimate
    return EstimateRecord(peak_bytes=cost.peak_bytes, time_ratio=cost.time_ratio) if cost else None


def _candidate(proposed: Proposed, trajectory: Trajectory, ts: str, times: IterationTimes) -> dict[str, Any]:
    trials = trajectory.outcomes
    others = [*trajectory.voided, *(t for t in trajectory.extra_baseline if not t.void)]
    return {
        "ts": ts,
        "iter": proposed.iter,
        "verdict_ok": True,
        "rail": Rail.PASSED,
        "attempts": proposed.attempts,
        "llm_calls": proposed.llm_calls,
        "propose_wall_s": proposed.propose_wall_s,
        "overhead_s": times.overhead_s([*trials, *others]),
        "iter_wall_s": times.wall_s,
        "source": proposed.source,
        "proposal": proposed.proposal,
        "diff": proposed.diff,
        "candidate_cfg": proposed.candidate_cfg,
        "estimate": proposed.estimate,
        "trials": tuple(t.trial for t in trials),
    }


def _without_candidate(n: int, log: AttemptLog, ts: str, wall_s: float) -> dict[str, Any]:
    overhead_s = IterationTimes(wall_s, log.propose_s).overhead_s([])
    fixed = {"ts": ts, "iter": n, "verdict_ok": False, "overhead_s": overhead_s, "iter_wall_s": wall_s}
    return fixed | log.record_fields
