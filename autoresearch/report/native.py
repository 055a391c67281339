"""A trajectory.jsonl in our format as a ``History``. Pure."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, assert_never

from autoresearch.core.climb import total_gain
from autoresearch.core.costs import cost_ratios
from autoresearch.core.equal_flops import equal_flops_gain
from autoresearch.core.llm_calls import LLM_SOURCE
from autoresearch.core.measurement import Failure, Mark, Measurement, Outcome
from autoresearch.core.metric import MetricKind, named_kind
from autoresearch.core.records import (
    Attempt,
    Baseline,
    Blocked,
    CandidateTried,
    EvalFailed,
    Evaluated,
    Event,
    IterationRecord,
    LoopComplete,
    Meta,
    Paused,
    ProposalRecord,
    ProposerFailed,
    Resumed,
    Started,
    Stopped,
    StoppedEarly,
    TrialEnded,
    Unsealed,
    Yardstick,
)
from autoresearch.core.stopped_trial import EarlyStop, StopPoint
from autoresearch.core.trajectory import Totals, Trajectory, measurements
from autoresearch.core.trial_marks import deciding_marks, describe_disturbance
from autoresearch.core.values import KnobValue
from autoresearch.report.correlations import paired_bpbs
from autoresearch.report.format import NAME_CELLS, format_changes
from autoresearch.report.history import History, OpenTrial, Row, State, plain_value, total
from autoresearch.report.trial_marks import with_baseline_trials, with_marks
from autoresearch.report.verdicts import corrected_frac
from rails import Rail


@dataclass(slots=True)
class HistoryBuilder:
    """Builds a history incrementally: ``add`` takes one record, ``history`` returns it so far."""

    damaged: bool = False  # records can be missing, the first too
    trajectory: Trajectory = field(default_factory=Totals)
    outcomes: dict[int, Outcome] = field(default_factory=dict)  # of trials that a record may still name
    marked_trials: list[TrialEnded] = field(default_factory=list)  # trials with marks, of the open iteration
    marks: Counter[Mark] = field(default_factory=Counter)
    voided: int = 0
    rows: list[Row] = field(default_factory=list)
    baseline: Row | None = None
    baseline_failure: str | None = None
    extra_trials: list[TrialEnded] = field(default_factory=list)  # of the baseline, for the open iteration
    would_stop: dict[int, StopPoint] = field(default_factory=dict)  # of audited trials of open iterations
    started: Started | None = None  # the last start
    state: State = "open"
    stop_reason: str | None = None
    waits_for: Literal["user", "disk_space"] = "user"
    disk_waits: int = 0
    disk_wait_s: float = 0.0

    def add(self, record: Event) -> None:
        """Take one more record into account. Raises ``ValueError`` if the first of a whole log is not ``meta``."""
        if self.trajectory.meta is None and not isinstance(record, Meta) and not self.damaged:
            raise ValueError("the first record is not meta")
        self.trajectory.add(record)
        match record:
            case TrialEnded():
                self._add_trial(record)
            case Baseline():
                row = with_marks(_baseline_row(record, self.outcomes), self._take_marked_trials())
                marks = deciding_marks(self.trajectory.baseline_outcomes, self.trajectory.meta)
                self.baseline_failure = None
                self.baseline = replace(row, disturbance=describe_disturbance((), marks))
            case Started():
                self.started, self.state, self.stop_reason = record, "running", None
                self.baseline_failure = None  # it is measured again
            case Resumed(paused_s=paused_s):
                self.disk_wait_s += paused_s if self.state == "paused" and self.waits_for == "disk_space" else 0.0
                self.state, self.stop_reason = "running", None
            case Paused(reason=reason, waits_for=waits_for):
                self.state, self.stop_reason, self.waits_for = "paused", reason, waits_for
                self.disk_waits += waits_for == "disk_space"
            case Stopped(reason=reason):
                self.state, self.stop_reason = "stopped", reason
            case LoopComplete(iters_requested=iters):
                self.state, self.stop_reason = "complete", None
                if self.started and iters < self.started.iters_requested:  # nothing was left to propose
                    self.started = self.started.model_copy(update={"iters_requested": iters})
            case Unsealed():
                self._add_vault(record)
            case _ if isinstance(record, IterationRecord):
                row = with_marks(_row(record, self.outcomes), self._take_marked_trials())
                if isinstance(record, Evaluated):
                    rule = self.trajectory.meta.decision_rule if self.trajectory.meta else None
                    pairs = paired_bpbs(record.evidence, self._seeded_baseline())
                    row = replace(row, corrected_frac=corrected_frac(record, rule), paired_bpbs=pairs)
                row = replace(row, would_stop=self.would_stop.pop(record.iter, None))
                self.rows.append(with_baseline_trials(self._with_ratios(row, record), self._take_extra_trials()))
                if isinstance(record, CandidateTried):
                    for number in record.trials:  # no later record is about them
                        self.outcomes.pop(number, None)

    def _with_ratios(self, row: Row, record: IterationRecord) -> Row:
        baseline = self.trajectory.baseline
        if baseline is None or not isinstance(record, Evaluated):
            return row
        disturbance = describe_disturbance(record.marks, record.baseline_marks)
        sides, meta = (self._measured(record), self._measured(baseline)), self.trajectory.meta
        equal = equal_flops_gain(record.improvement_frac, *sides, record.candidate_cfg, meta)
        return replace(row, ratios=cost_ratios(*sides), equal_flops_gain=equal, disturbance=disturbance)

    def _measured(self, record: Evaluated | Baseline) -> list[Measurement]:
        trials = _trials(record.trials, record.eval_metrics, self.outcomes)
        return [o for o in trials if isinstance(o, Measurement)]

    def _add_trial(self, trial: TrialEnded) -> None:
        self.outcomes[trial.trial] = trial.outcome
        self.marks.update(trial.marks)
        self.voided += trial.void
        if trial.iter == 0 and self.baseline is None and isinstance(trial.outcome, Failure):
            self.baseline_failure = f"{trial.outcome.cause}: {trial.outcome.detail}"
        if trial.iter == 0 and self.baseline is not None and not trial.void:
            self.extra_trials.append(trial)
            self.outcomes.pop(trial.trial)
        if trial.marks:
            self.marked_trials.append(trial)
        if trial.would_stop and not trial.void:
            self.would_stop[trial.iter] = trial.would_stop

    def _take_extra_trials(self) -> list[TrialEnded]:
        """The baseline's extra trials that no iteration waits for any longer."""
        still_open = set(self.trajectory.candidates) if self.trajectory.parallel else set()
        taken = [trial for trial in self.extra_trials if trial.for_iter not in still_open]
        self.extra_trials = [trial for trial in self.extra_trials if trial.for_iter in still_open]
        return taken

    def _add_vault(self, record: Unsealed) -> None:
        """Add it to its keep: the last row, or an earlier one in a parallel run. In a damaged log there may be none."""
        place = next((n for n in reversed(range(len(self.rows))) if self.rows[n].iter == record.iter), None)
        if place is not None:
            self.rows[place] = replace(self.rows[place], vault=record)
        for number in record.trials:
            self.outcomes.pop(number, None)

    def _seeded_baseline(self) -> list[TrialEnded]:
        """The baseline's trials, where equal seeds can have something in common."""
        command = self.trajectory.meta.yardstick.command if self.trajectory.meta else None
        return [] if command and not command.seeded else self.trajectory.baseline_outcomes

    def _take_marked_trials(self) -> list[TrialEnded]:
        marked, self.marked_trials = self.marked_trials, []
        return marked

    def _baseline_bpbs(self) -> tuple[float, ...]:
        run = self.trajectory
        trials = run.baseline_outcomes if run.baseline else [] if run.proposed else run.outcomes
        return tuple(m.value for m in measurements(trials))

    def history(self) -> History:
        """The history of the records so far. Raises ``ValueError`` if a whole log has none."""
        meta, started = self.trajectory.meta, self.started
        if meta is None and not self.damaged:
            raise ValueError("the first record is not meta")
        # an interrupted trial is over, though its end was not recorded
        running = self.trajectory.trials_at_work if self.state == "running" else []
        proposals = self.trajectory.open_proposals if self.trajectory.parallel else []
        changes = {p.iter: format_changes(p.proposal, NAME_CELLS) for p in proposals}
        at_work = tuple(OpenTrial(t.iter, t.ts, t.seed, t.trial, changes.get(t.iter, "")) for t in running)
        return History(
            log_format="autoresearch",
            knobs=tuple(meta.menu.get("knobs", {})) if meta else (),
            menu=meta.menu if meta else {},
            baseline=self.baseline,
            baseline_bpbs=self._baseline_bpbs(),
            baseline_failure=self.baseline_failure,
            baseline_cfg=meta.baseline_cfg if meta else {},
            accept_delta_frac=meta.decision_rule.accept_delta_frac if meta else None,
            rule=meta.decision_rule.model_dump(mode="json") if meta else {},
            earlier_runs=meta.earlier_runs if meta else (),
            rows=tuple(self.rows),
            iters_requested=started.iters_requested if started else None,
            state=self.state,
            stop_reason=self.stop_reason,
            waits_for=self.waits_for,
            disk_waits=self.disk_waits,
            disk_wait_s=self.disk_wait_s,
            open_trial=at_work[0] if at_work else None,
            open_trials=at_work,
            parallel=bool(self.trajectory.parallel),
            energy_j=self.trajectory.energy_j,
            device_j=dict(sorted(self.trajectory.device_j.items())),
            power=dict(self.trajectory.power),
            metering=self.trajectory.metering,
            marks=dict(self.marks),
            voided=self.voided,
            run_id=meta.run_id if meta else None,
            profile=meta.profile if meta else None,
            proposer=started.proposer if started else None,
            yardstick=meta.yardstick if meta else None,
            ends_at=started.ends_at if started else None,
            zone=started.zone if started else None,
            climb=meta.climb if meta else None,
            race=self.trajectory.race,
            total_gain=total_gain(self.trajectory),
            val_overlap=meta.val_overlap if meta else None,
            metric=metric_of(meta.yardstick) if meta else None,
        )


def metric_of(yardstick: Yardstick) -> MetricKind | None:
    """What a run measures; ``None`` for bits per byte."""
    return named_kind(yardstick.command.metric) if yardstick.command else None


def build_history(records: Iterable[Event], *, damaged: bool = False) -> History:
    """The history of a run's records. Raises ``ValueError`` if those of a whole log do not begin with ``meta``."""
    builder = HistoryBuilder(damaged)
    for record in records:
        builder.add(record)
    return builder.history()


def _baseline_row(record: Baseline, outcomes: Mapping[int, Outcome]) -> Row:
    trials = _trials(record.trials, record.eval_metrics, outcomes)
    measured = _measured(trials)
    spent = total(measured["train_s"], measured["eval_s"], measured["failed_s"]) or 0.0
    return Row(
        iter=0,
        stage="baseline",
        ts=record.ts,
        val_bpb=record.value,
        overhead_s=max(0.0, record.wall_s - spent),
        wall_s=record.wall_s,
        **measured,
    )


def _row(record: IterationRecord, outcomes: Mapping[int, Outcome]) -> Row:
    common: dict[str, Any] = {
        "iter": record.iter,
        "stage": record.stage,
        "ts": record.ts,
        "rail": None if isinstance(record, ProposerFailed) else str(record.rail),
        "reason": record.reason,
        "source": record.source,
        "propose_s": record.propose_wall_s,
        "overhead_s": record.overhead_s,
        "wall_s": record.iter_wall_s,
        "refused": refused_by_rail(record.attempts),
        "llm_calls": record.llm_calls,
        "llm_judged": llm_judged(record.attempts),
        "normalised": sum(bool(a.normalised) for a in record.attempts),
    }
    match record:
        case ProposerFailed():
            return Row(**common)
        case Evaluated():
            verdict: dict[str, Any] = {
                "val_bpb": record.value,
                "improvement_frac": record.improvement_frac,
                "decision": record.decision,
                "evidence": record.evidence,
                "is_new_best": record.is_new_best,
            }
            trials = _trials(record.trials, record.eval_metrics, outcomes)
            return Row(**common, **_proposed(record.proposal), **verdict, **_measured(trials))
        case StoppedEarly():
            trials = _trials(record.trials, record.eval_metrics, outcomes)
            where = record.eval_metrics.stopped_early
            proposed = _proposed(record.proposal)
            return Row(**common, **proposed, decision=record.decision, stopped=where, **_measured(trials))
        case EvalFailed():
            trials = _trials(record.trials, record.eval_metrics, outcomes)
            return Row(**common, **_proposed(record.proposal), cause=str(record.cause), **_measured(trials))
        case Blocked():
            return Row(**common, **_proposed(record.proposal))
        case _:
            assert_never(record)


def refused_by_rail(attempts: Iterable[Attempt]) -> dict[str, int]:
    """How many of ``attempts`` each rail refused."""
    return dict(Counter(str(a.rail) for a in attempts if not a.verdict_ok))


def llm_judged(attempts: Iterable[Attempt]) -> dict[str, int]:
    """The LLM's proposals by rail. A proposal that an iteration has twice is novel only once, whatever R6 reported."""
    seen: set[tuple[tuple[str, KnobValue], ...]] = set()
    judged: Counter[str] = Counter()
    for attempt in attempts:
        if attempt.source == LLM_SOURCE:
            changes = tuple(sorted(attempt.proposal.changes, key=lambda c: c[0])) if attempt.proposal else None
            is_copy = attempt.verdict_ok and changes in seen
            judged[str(Rail.R6_NOVELTY if is_copy else attempt.rail)] += 1
            if changes is not None:
                seen.add(changes)
    return dict(judged)


def _proposed(proposal: ProposalRecord | None) -> dict[str, Any]:
    if proposal is None:
        return {}
    changes = tuple((knob, plain_value(value)) for knob, value in proposal.changes)
    if len(changes) == 1:
        return {"knob": changes[0][0], "new_value": changes[0][1], "why": proposal.reason}
    knobs, values = (", ".join(str(part) for part in column) for column in zip(*changes, strict=True))
    return {"knob": knobs, "new_value": plain_value(values), "why": proposal.reason, "several": changes}


def _trials(numbers: Iterable[int], closing: Outcome, outcomes: Mapping[int, Outcome]) -> list[Outcome]:
    """The outcomes of a record's trials, or the one in the record itself if the log does not have them."""
    return [outcomes[n] for n in numbers if n in outcomes] or [closing]


def _measured(trials: Sequence[Outcome]) -> dict[str, Any]:
    ok = [t for t in trials if isinstance(t, Measurement)]
    failed = [t for t in trials if isinstance(t, Failure)]
    trained = [t for t in trials if isinstance(t, Measurement | EarlyStop)]
    tokens = [t.train_tokens for t in trained if t.train_tokens is not None]
    return {
        "trials": len(ok),
        "lowest_val_bpb": min(ok, key=lambda m: m.loss).value if ok else None,
        "train_s": total(*(t.train_wall_s for t in trained)),
        "eval_s": total(*(m.val_wall_s for m in ok)),
        "failed_s": total(*(f.trial_wall_s for f in failed)),
        "tokens": sum(tokens) if tokens else None,
        "peak_bytes": max((t.peak_bytes for t in trials if t.peak_bytes is not None), default=None),
        "energy_j": total(*(t.energy_j for t in trials)),
        "curves": tuple(
            array("f", m.train_loss_curve) for m in ok if m.train_loss_curve
        ),  # an eighth of a tuple's size
        "deadline_extended_s": total(*(t.deadline_extended_s for t in trials)),
    }
