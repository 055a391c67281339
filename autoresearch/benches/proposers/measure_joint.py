"""Measure a table of the joint space: configurations with many changes at once, durable and resumed like every table.

A configuration that rail R7 refuses under the settings' own limits is a row without a value and costs no trial: this is
the region in which a run without R7 would crash. Free memory is left out of that, so that a resumed table has the same
region; a trial that does not fit into the machine at the moment is missing, and the same command tries it again.
"""

from __future__ import annotations

from collections.abc import Callable

from autoresearch.benches.proposers.joint_plan import BEST, ROUND, JointPlan, draw_round, take_new
from autoresearch.benches.proposers.measure_table import SEED_OFFSET, Rows, build_table
from autoresearch.benches.proposers.table_file import REFUSED, TableFile, TableRow
from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer
from autoresearch.core.values import Cfg
from autoresearch.daemon.cost_check import memory_cap_bytes
from autoresearch.daemon.fresh_trials import FreshTrials, Wanted
from autoresearch.daemon.policy import Policy
from autoresearch.daemon.service import MakeBackend
from autoresearch.daemon.trial_backend import TrialBackend
from rails import Limits, over_budget

NO_LIMIT = 1 << 62  # bytes


def measure_joint_table(
    settings: Settings,
    plan: JointPlan,
    observer: Observer,
    *,
    on_trial: Callable[[int, int, str], None] = lambda *_: None,
    make_backend: MakeBackend | None = None,
) -> TableFile:
    """Measure what is missing, round by round; after a signal, what there is, with fewer rows than planned.

    A round is drawn once the round before is complete, because it starts from what is best by then. Raises as
    ``measure_table``.
    """
    with FreshTrials(settings, "joint-trials.jsonl", observer, make_backend, remember_failures=True) as trials:
        policy = trials.policy.with_vocab(trials.backend.vocab)
        least = plan.baseline_seeds + plan.configurations
        measured = Rows(trials, policy, observer, lambda done, of, line: on_trial(done, max(of, least), line))
        measured.add([Wanted(policy.baseline, SEED_OFFSET + n) for n in range(plan.baseline_seeds)])
        _measure_rounds(measured, plan, find_crash(trials.backend, settings))
        planned = max(measured.planned, least)
        return build_table(settings, policy, trials.backend, planned, (), measured.rows)


def find_crash(backend: TrialBackend, settings: Settings) -> Callable[[Cfg], str]:
    """Why R7 refuses a configuration, whatever memory is free now; an empty string for one that it passes."""
    cap = memory_cap_bytes(settings)
    limits = Limits(NO_LIMIT if cap is None else cap, settings.limits.max_time_ratio)

    def find(cfg: Cfg) -> str:
        cost = backend.estimator(cfg) if backend.estimator else None
        return "" if cost is None else over_budget(cost, limits) or ""

    return find


def _measure_rounds(measured: Rows, plan: JointPlan, crash: Callable[[Cfg], str]) -> None:
    policy = measured.policy
    seen: set[str] = set()
    count = 0
    while count < plan.configurations and measured.is_complete:
        wanted = min(ROUND, plan.configurations - count)
        drawn = draw_round(policy.menu, policy.baseline, count // ROUND, plan.seed, _best(measured.rows))
        for cfg in take_new(drawn, wanted, lambda cfg: _is_allowed(policy, cfg), lambda cfg: bool(crash(cfg)), seen):
            seed = count % plan.baseline_seeds
            if why := crash(cfg):
                measured.add_refused(
                    TableRow(cfg=cfg, seed=SEED_OFFSET + seed, val_bpb=None, cause=REFUSED, detail=why)
                )
                continue
            more = plan.repeats if count % plan.repeated == 0 else 0
            measured.add([Wanted(cfg, SEED_OFFSET + (seed + n) % plan.baseline_seeds) for n in range(1 + more)])
            count += 1


def _is_allowed(policy: Policy, cfg: Cfg) -> bool:
    return cfg != policy.baseline and not policy.menu.check_config(cfg, policy.steps)


def _best(rows: list[TableRow]) -> list[Cfg]:
    """The configurations with the lowest single values, each once."""
    found: list[Cfg] = []
    for row in sorted((r for r in rows if r.val_bpb is not None), key=lambda r: r.val_bpb or 0.0):
        if row.cfg not in found:
            found.append(row.cfg)
        if len(found) == BEST:
            break
    return found
