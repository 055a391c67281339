"""One trial between its two records: what is recorded and asked for before it, and what is made of its end."""

from __future__ import annotations

from typing import Any

from autoresearch.core.early_stopping import WarmupFrac, judge_end, plan_stop
from autoresearch.core.executor import TrialFinished, TrialOrder
from autoresearch.core.measurement import Cause, Failure, Suspended
from autoresearch.core.open_trials import MAX_HOST_LOSSES, is_first_of_its_cause
from autoresearch.core.ports import Vault
from autoresearch.core.record_builders import build_void
from autoresearch.core.recorded_run import RecordedRun, input_changed
from autoresearch.core.records import TrialEnded, TrialStarted, TrialSuspended
from autoresearch.core.values import Cfg


def begin_trial(
    run: RecordedRun, cfg: Cfg, seed: int, n: int, number: int, warmup_frac: WarmupFrac, for_iter: int | None = None
) -> TrialOrder:
    """Record that a trial begins or resumes, and return what to run.

    Raises ``CorpusError`` if a file that trials depend on has changed.
    """
    run.end_if_input_changed()
    suspended_at = run.trajectory.suspended
    continues = suspended_at is not None and suspended_at.resumes_at is not None
    plan = plan_stop(run.trajectory, number, n, seed, cfg, warmup_frac)
    run.record(
        TrialStarted(
            ts=run.utc(),
            trial=number,
            iter=n,
            seed=seed,
            cfg=cfg,
            boot_id=run.boot_id,
            continues=continues,
            stop=plan,
            for_iter=for_iter,
        )
    )
    limits = () if plan is None or plan.audited else plan.limits
    return TrialOrder(number, n, seed, cfg, limits, suspended_at)


def host_lost(run: RecordedRun, order: TrialOrder) -> TrialFinished | None:
    """The failure of a trial that took the machine down before, and is not run again; ``None`` for any other."""
    if (lost := run.trajectory.host_losses) < MAX_HOST_LOSSES:
        return None
    detail = f"the machine went down {lost} times while this configuration was trained"
    return TrialFinished(order.trial, Failure(cause=Cause.HOST_LOST, detail=detail))


def end_trial(
    run: RecordedRun, order: TrialOrder, finished: TrialFinished, vault: Vault, for_iter: int | None = None
) -> None:
    """Seal what is for the vault, and record the end or the suspension of a trial.

    Raises ``CorpusError`` if a file that trials depend on has changed: the trial, which may have read it, is void.
    """
    if finished.test_bpb is not None:
        vault.seal(order.trial, order.seed, finished.test_bpb)
    number, n, seed, outcome = order.trial, order.iter, order.seed, finished.outcome
    if changed := run.changed_input():
        void_trial = build_void(number, n, seed, outcome, changed, run.utc())
        run.record(void_trial.model_copy(update={"for_iter": for_iter}))
        raise input_changed(changed)
    common: Any = {"ts": run.utc(), "trial": number, "iter": n, "seed": seed, "for_iter": for_iter}
    if isinstance(outcome, Suspended):  # for a pause or a stop, which is obeyed before the trial's next part
        run.record(TrialSuspended(**common, suspended=outcome))
    else:
        void = is_first_of_its_cause(outcome, n, seed, run.trajectory)
        run.record(judge_end(TrialEnded(**common, outcome=outcome, void=void), run.trajectory))
