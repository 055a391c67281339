"""One virtual night: the real loop, gate, rule and records, with trials that a surface answers."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from autoresearch import __version__
from autoresearch.benches.proposers.problem import Night, Problem
from autoresearch.benches.proposers.surface import Crash, NoData
from autoresearch.benches.proposers.virtual_parts import BatchJournal, NightWatch, SurfaceTrial, VirtualTime
from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.core.loop import Loop
from autoresearch.core.ports import Interrupted, Proposer
from autoresearch.core.records import Started
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.policy import Policy, build_rule
from autoresearch.daemon.service import build_meta
from autoresearch.errors import ConfigError
from autoresearch.proposers.factory import PROPOSERS, ProposerContext, open_proposer
from autoresearch.proposers.space import Space
from autoresearch.storage.run_dir import TRAJECTORY
from autoresearch.trials.spec import Budget
from rails import Rail, Verdict, gate

NO_DATA = "no data: "  # a refusal of rail R7 that begins so is for want of data, not of the machine
ITERATIONS_PER_TRIAL = 2  # at most: a proposer whose proposals are all refused would never spend its trials


def run_night(
    problem: Problem,
    night: Night,
    folder: Path,
    *,
    llm: Mapping[str, Any] | None = None,
    aborted: Callable[[], bool] = lambda: False,
    notify: Callable[[str], None] = lambda _text: None,
    make_proposer: Callable[[Settings, ProposerContext], Proposer] | None = None,
) -> tuple[str, NightWatch]:
    """Run a night and write its trajectory into ``folder``; returns how it ended, and what was counted.

    ``llm``: settings of the section ``llm``. Raises ``Interrupted`` once ``aborted``, and ``MissingPackage``.
    """
    settings = settings_of(problem, night, llm or {})
    policy = policy_of(problem, settings)
    watch, time, journal = NightWatch(night.trials, aborted), VirtualTime(), BatchJournal()
    judge = partial(judge_on_surface, problem, policy, max_changes=night.max_changes)
    context = ProposerContext(
        space=Space(policy.menu, policy.baseline, policy.steps, problem.over_budget, settings.max_changes),
        judge=judge,
        run_dir=folder,
        stop_or_pause_requested=aborted,
        notify=notify,
        utc=time.utc,
        setup=problem.setup,
    )

    def run(proposer: Proposer) -> str:
        loop = Loop(
            trajectory=Trajectory(),
            journal=journal,
            proposer=proposer,
            judge=judge,
            trial=SurfaceTrial(problem, time),
            control=watch,
            observer=watch,
            rule=policy.rule,
            baseline_cfg=policy.baseline,
            iters=settings.iters,
            max_attempts=settings.limits.max_attempts,
            on_pause="wait",
            boot_id="virtual",
            utc=time.utc,
            clock=time.clock,
        )
        record_start(loop, settings, policy, problem)
        return loop.run()

    try:
        if make_proposer is not None:
            ending = run(make_proposer(settings, context))
        else:
            with open_proposer(settings, context, ()) as proposer:
                ending = run(proposer)
    finally:
        journal.write(folder / TRAJECTORY)
    if aborted():
        raise Interrupted(ending)
    return ending, watch


def record_start(loop: Loop, settings: Settings, policy: Policy, problem: Problem) -> None:
    """The first two records of a run."""
    meta = build_meta(settings, policy, problem.yardstick)
    loop.record(meta.model_copy(update={"ts": loop.utc()}))
    loop.record(
        Started(
            ts=loop.utc(),
            pid=0,
            host=socket.gethostname(),
            boot_id=loop.boot_id,
            autoresearch_version=__version__,
            proposer=loop.proposer.name,
            iters_requested=loop.iters,
        )
    )


def settings_of(problem: Problem, night: Night, llm: Mapping[str, Any]) -> Settings:
    """The settings of a night. Raises ``ConfigError`` for a proposer or a rule that does not exist."""
    if night.proposer not in PROPOSERS or night.proposer == "replay":
        able = ", ".join(name for name in PROPOSERS if name != "replay")
        raise ConfigError(f"there is no proposer {night.proposer!r} to bench", hint=f"one of {able}")
    changes: dict[str, Any] = {
        "proposer": night.proposer,
        "seed": night.seed,
        "iters": ITERATIONS_PER_TRIAL * night.trials,
        "max_changes": night.max_changes,
        "decision.rule": night.decision,
        "decision.confirm": night.confirm,
        "decision.earlier_runs": "off",
        "decision.vault": "off",
        "early_stop.enabled": "off",
    }
    settings = resolve(changes | {f"llm.{name}": value for name, value in llm.items()}, {}).settings
    return settings.model_copy(update={"profile": problem.profile})


def policy_of(problem: Problem, settings: Settings) -> Policy:
    """Menu, baseline and budget of the problem with the rule of the settings."""
    budget = Budget(kind=problem.yardstick.budget_kind, size=problem.yardstick.budget_size)
    return Policy(problem.menu, dict(problem.surface.baseline), build_rule(settings), budget, problem.vocab)


def judge_on_surface(
    problem: Problem, policy: Policy, raw: str, trajectory: Trajectory, max_changes: int = 1
) -> Verdict:
    """The gate, and then whether the surface has a value: the proposal of a configuration without one is refused.

    R7 refuses what it refused on the machine that measured; a trial that runs out of memory is a fact of the surface.
    """
    known = trajectory.known()
    verdict = gate(raw, policy.baseline, policy.menu, steps=policy.steps, known=known, max_changes=max_changes)
    if verdict.candidate is None:
        return verdict
    if why := problem.over_budget(verdict.candidate):
        return Verdict(False, Rail.R7_BUDGET, why, verdict.proposal, verdict.diff)
    try:
        problem.surface.point(dict(verdict.candidate), policy.rule.seed)
    except NoData as e:
        return Verdict(False, Rail.R7_BUDGET, f"{NO_DATA}{e}", verdict.proposal, verdict.diff)
    except Crash:
        pass
    return verdict
