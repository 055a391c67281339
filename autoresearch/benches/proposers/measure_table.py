"""Measure a table: the baseline and changes of one knob, each with several seeds, durable and resumed.

Each trial is durable in table-trials.jsonl of the run directory once it has ended, a failure too: the same command
continues after the last one, also after a kill.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from autoresearch import __version__
from autoresearch.benches.proposers.plan import plan_changes
from autoresearch.benches.proposers.table_file import RefusedChange, TableFile, TableRow
from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Failure
from autoresearch.core.ports import Observer
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg, KnobValue, sha256_of
from autoresearch.daemon.backend import TrialBackend, judge
from autoresearch.daemon.fresh_trials import FailedTrial, FreshTrial, FreshTrials, Wanted
from autoresearch.daemon.policy import Policy
from autoresearch.daemon.service import MakeBackend, build_meta
from autoresearch.daemon.setup_text import describe_setup
from autoresearch.errors import BaselineFailed
from autoresearch.machine import utc
from autoresearch.proposers.space import build_reply

TABLE_TRIALS = "table-trials.jsonl"
SEED_OFFSET = 4000  # above the seeds of runs, null trials, rechecks and planted trials


@dataclass(frozen=True, slots=True)
class TablePlan:
    """How much is measured: ``values`` of each range, ``seeds`` of each change and ``baseline_seeds``."""

    values: int
    seeds: int
    baseline_seeds: int


def measure_table(
    settings: Settings,
    plan: TablePlan,
    observer: Observer,
    *,
    on_trial: Callable[[int, int, str], None] = lambda *_: None,
    make_backend: MakeBackend | None = None,
) -> TableFile:
    """Measure what is missing, seed by seed; after a signal, what there is, with fewer rows than planned.

    ``on_trial`` is called with the number of trials done, the number planned, and a line on the last one. Raises
    ``BaselineFailed`` if the baseline fails, and an ``AutoresearchError`` for what the user must decide or repair.
    """
    with FreshTrials(settings, TABLE_TRIALS, observer, make_backend, remember_failures=True) as trials:
        policy = trials.policy.with_vocab(trials.backend.vocab)
        cfgs, refused = judge_changes(settings, policy, trials.backend, plan.values)
        wanted = plan_trials(policy.baseline, cfgs, plan)
        rows: list[TableRow] = []
        interrupted = False
        for one in wanted:
            outcome = trials.known(one) or trials.known_failure(one)
            if outcome is None and not interrupted:
                measured = trials.measure(one)
                interrupted = measured is None
                outcome = measured if isinstance(measured, FreshTrial) else trials.known_failure(one)
                if isinstance(measured, Failure) and outcome is None:
                    observer.notify(f"{_name(one, policy)}: {measured.detail}; the same command tries it again")
            if isinstance(outcome, FailedTrial) and one.cfg == policy.baseline:
                text = f"the baseline with seed {one.seed} measured nothing: {outcome.detail}"
                raise BaselineFailed(text, hint="autoresearch doctor")
            if outcome is not None:
                rows.append(_row(one, outcome))
                on_trial(len(rows), len(wanted), f"{_name(one, policy)}: {_result(outcome)}")
        return _table(settings, policy, trials.backend, len(wanted), refused, rows)


def judge_changes(
    settings: Settings, policy: Policy, backend: TrialBackend, values: int
) -> tuple[list[Cfg], tuple[RefusedChange, ...]]:
    """The configurations that the gate passes on this machine, and the planned changes that it refuses."""
    start = Trajectory.fold([build_meta(settings, policy, backend.yardstick)])
    cfgs: list[Cfg] = []
    refused: list[RefusedChange] = []
    for knob, value in plan_changes(policy.menu, policy.baseline, values, lambda k, v: _fits(policy, k, v)):
        verdict = judge(policy, backend, settings, build_reply(knob, value, "table", "table").raw, start)
        if verdict.candidate is not None:
            cfgs.append(dict(verdict.candidate))
        else:
            refused.append(RefusedChange(knob=knob, value=value, rail=verdict.rail, reason=verdict.reason))
    return cfgs, tuple(refused)


def _fits(policy: Policy, knob: str, value: KnobValue) -> bool:
    return not policy.menu.check_config({**policy.baseline, knob: value}, policy.steps)


def plan_trials(baseline: Cfg, cfgs: list[Cfg], plan: TablePlan) -> list[Wanted]:
    """Every trial, seed by seed: a table that is interrupted has each configuration about equally often."""
    wanted: list[Wanted] = []
    for n in range(max(plan.seeds, plan.baseline_seeds)):
        seed = SEED_OFFSET + n
        wanted += [Wanted(baseline, seed)] if n < plan.baseline_seeds else []
        wanted += [Wanted(cfg, seed) for cfg in cfgs] if n < plan.seeds else []
    return wanted


def _row(wanted: Wanted, outcome: FreshTrial | FailedTrial) -> TableRow:
    common: dict[str, Any] = {
        "cfg": wanted.cfg,
        "seed": wanted.seed,
        "trial_wall_s": outcome.trial_wall_s,
        "peak_bytes": outcome.peak_bytes,
    }
    if isinstance(outcome, FailedTrial):
        return TableRow(**common, val_bpb=None, cause=outcome.cause.value, detail=outcome.detail)
    return TableRow(
        **common,
        val_bpb=outcome.val_bpb,
        steps=outcome.train_steps,
        tokens=outcome.train_tokens,
        flops=outcome.train_flops,
        curve=outcome.train_loss_curve,
    )


def _table(
    settings: Settings,
    policy: Policy,
    backend: TrialBackend,
    planned: int,
    refused: tuple[RefusedChange, ...],
    rows: list[TableRow],
) -> TableFile:
    return TableFile(
        ts=utc(),
        autoresearch_version=__version__,
        profile=settings.profile,
        yardstick=backend.yardstick,
        yardstick_sha256=sha256_of(backend.yardstick),
        menu=dict(policy.menu.source),
        menu_sha256=policy.menu.sha256,
        baseline_cfg=policy.baseline,
        vocab=policy.vocab,
        setup=describe_setup(backend.estimator, backend.train_tokens),
        planned=planned,
        refused=refused,
        rows=tuple(rows),
    )


def _name(wanted: Wanted, policy: Policy) -> str:
    changed = [f"{k} = {v}" for k, v in wanted.cfg.items() if v != policy.baseline[k]]
    return f"{', '.join(changed) or 'the baseline'}, seed {wanted.seed}"


def _result(outcome: FreshTrial | FailedTrial) -> str:
    if isinstance(outcome, FailedTrial):
        return f"failed ({outcome.cause}): {outcome.detail}"
    return f"val_bpb {outcome.val_bpb:.4f} in {outcome.trial_wall_s:.1f} s"
