"""Measure a table: the baseline and changes of one knob, each with several seeds, durable and resumed.

Each trial is durable in table-trials.jsonl of the run directory once it has ended, a failure too: the same command
continues after the last one, also after a kill.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

from autoresearch import __version__
from autoresearch.benches.proposers.plan import middle_of, plan_changes
from autoresearch.benches.proposers.table import MeasuredTable
from autoresearch.benches.proposers.table_file import RefusedChange, TableFile, TableRow
from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Failure
from autoresearch.core.ports import Observer
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg, KnobValue, sha256_of
from autoresearch.daemon.cost_check import judge
from autoresearch.daemon.fresh_trials import FailedTrial, FreshTrial, FreshTrials, Wanted
from autoresearch.daemon.policy import Policy
from autoresearch.daemon.service import MakeBackend, build_meta
from autoresearch.daemon.setup_text import describe_setup
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import BaselineFailed, ConfigError
from autoresearch.machine import utc
from autoresearch.proposers.space import build_reply
from rails import ChoiceKnob, same_value

TABLE_TRIALS = "table-trials.jsonl"
SEED_OFFSET = 4000  # above the seeds of runs, null trials, rechecks and planted trials


@dataclass(frozen=True, slots=True)
class TablePlan:
    """How much is measured: ``values`` of each range, ``seeds`` of each change and ``baseline_seeds``."""

    values: int
    seeds: int
    baseline_seeds: int
    refine: int = 0  # rounds in which the middle of each interval is measured that cannot be interpolated


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
        changes = list(plan_changes(policy.menu, policy.baseline, plan.values, partial(_fits, policy)))
        cfgs, refused = judge_changes(settings, policy, trials.backend, changes)
        measured = Rows(trials, policy, observer, on_trial)
        measured.add(plan_trials(policy.baseline, cfgs, plan))
        for _ in range(plan.refine):
            gaps = [] if measured.interrupted else gaps_of(policy, measured.rows)
            more, refused_too = judge_changes(settings, policy, trials.backend, gaps)
            refused += refused_too
            measured.add([Wanted(cfg, SEED_OFFSET + n) for n in range(plan.seeds) for cfg in more])
        return build_table(settings, policy, trials.backend, measured.planned, refused, measured.rows)


@dataclass(slots=True)
class Rows:
    """The rows so far. After a signal nothing more is measured, and what is known is still taken."""

    trials: FreshTrials
    policy: Policy
    observer: Observer
    on_trial: Callable[[int, int, str], None]
    rows: list[TableRow] = field(default_factory=list)
    planned: int = 0
    interrupted: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether nothing that was wanted so far is missing."""
        return len(self.rows) == self.planned

    def add_refused(self, row: TableRow) -> None:
        """A configuration without a value that needs no trial."""
        self.planned += 1
        self.rows.append(row)

    def add(self, wanted: Sequence[Wanted]) -> None:
        """Measure what is not known of these trials. Raises ``BaselineFailed`` and ``ConfigError``."""
        self.planned += len(wanted)
        for one in wanted:
            outcome = self.trials.known(one) or self.trials.known_failure(one)
            if outcome is None and not self.interrupted:
                outcome = self._measure(one)
            name = _name(one, self.policy)
            if isinstance(outcome, FailedTrial) and one.cfg == self.policy.baseline:
                raise BaselineFailed(f"{name} measured nothing: {outcome.detail}", hint="autoresearch doctor")
            if outcome is not None:
                self.rows.append(_row(one, outcome))
                self.on_trial(len(self.rows), self.planned, f"{name}: {_result(outcome)}")

    def _measure(self, one: Wanted) -> FreshTrial | FailedTrial | None:
        measured = self.trials.measure(one)
        self.interrupted = measured is None
        failed = self.trials.known_failure(one)
        if isinstance(measured, Failure) and failed is None:
            self.observer.notify(f"{_name(one, self.policy)}: {measured.detail}; the same command tries it again")
        if isinstance(measured, FreshTrial) and measured.val_bpb is None:
            what = f"trainer {self.trials.settings.trainer} measures {measured.describe()}, and a table holds val_bpb"
            raise ConfigError(what, hint="--trainer torch, or `autoresearch bench search --table` for other values")
        return measured if isinstance(measured, FreshTrial) else failed


def gaps_of(policy: Policy, rows: Sequence[TableRow]) -> list[tuple[str, KnobValue]]:
    """The middle of every interval in which nothing can be interpolated although both ends have values."""
    surface = MeasuredTable.of(policy.menu, policy.baseline, rows)
    found: list[tuple[str, KnobValue]] = []
    for name, line in surface.lines.items():
        knob = policy.menu.knobs[name]
        for left, right in pairwise(line):
            failing = left.cell.failures or right.cell.failures
            if isinstance(knob, ChoiceKnob) or failing or not surface.why_not_between(left, right):
                continue
            middle = middle_of(knob, left.value, right.value)
            if not (same_value(middle, left.value) or same_value(middle, right.value)):
                found.append((name, middle))
    return found


def judge_changes(
    settings: Settings, policy: Policy, backend: TrialBackend, changes: Sequence[tuple[str, KnobValue]]
) -> tuple[list[Cfg], tuple[RefusedChange, ...]]:
    """The configurations that the gate passes on this machine, and the planned changes that it refuses."""
    start = Trajectory.fold([build_meta(settings, policy, backend.yardstick)])
    cfgs: list[Cfg] = []
    refused: list[RefusedChange] = []
    for knob, value in changes:
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


def build_table(
    settings: Settings,
    policy: Policy,
    backend: TrialBackend,
    planned: int,
    refused: tuple[RefusedChange, ...],
    rows: list[TableRow],
) -> TableFile:
    """The table of what was measured under these settings."""
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
    return f"{outcome.describe()} in {outcome.trial_wall_s:.1f} s"
