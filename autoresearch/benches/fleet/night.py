"""One night of a simulated fleet: the real parallel loop, gate, rule and records around a real proposer."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from autoresearch import __version__
from autoresearch.benches.fleet.parts import CountingJournal, FleetWatch, SurrogateTrial, TimedProposer
from autoresearch.benches.fleet.simulated_executor import SimulatedExecutor
from autoresearch.benches.fleet.trial_times import Devices, TrialTimes, device_factors
from autoresearch.benches.fleet.work_clock import WorkClock
from autoresearch.benches.search.surrogate import Surrogate
from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.core.parallel_loop import ParallelLoop
from autoresearch.core.ports import Proposer
from autoresearch.core.records import Meta, Started, Yardstick
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg, sha256_of
from autoresearch.daemon.policy import build_rule
from autoresearch.proposers.space import Space
from autoresearch.proposers.trust_region import TrustRegionProposer
from rails import Verdict, gate

POINTS = 50  # of a curve, for as many trials as the serial run has
ITERATIONS_PER_TRIAL = 4  # at most: a proposer whose proposals are all refused would never spend its trials
Rule = Literal["sequential", "threshold"]
PROPOSERS = ("trust-region", "tpe")


@dataclass(frozen=True, slots=True)
class Plan:
    """What every night of a bench has in common."""

    trials: int  # of the serial run, whose level the others are to reach
    rule: Rule
    append_s: float  # what a durable append to the journal takes

    @property
    def step(self) -> int:
        """Trials between two points of a curve."""
        return max(1, self.trials // POINTS)

    def trials_of(self, workers: int) -> int:
        """How long a night with that many workers is: long enough for an efficiency of one half, and four rounds."""
        return self.trials if workers == 1 else max(2 * self.trials, 4 * workers)


@dataclass(frozen=True, slots=True)
class FleetNight:
    """``curve``: the true mean of what would be handed over after 0, step, 2 step, ... trials; ``at_s``: when."""

    proposer: str
    workers: int
    seed: int
    trials: int
    curve: tuple[float, ...]
    at_s: tuple[float, ...]
    worker_use: float  # from the first proposal to the last start of a trial
    elapsed_s: float  # virtual
    proposals: int
    repeats: int  # attempts that rail R6 refused
    proposal_s: float  # CPU, median
    proposal_p95_s: float
    propose_cpu_s: float
    loop_cpu_s: float  # without the proposer's
    records: int
    journal_bytes: int
    ending: str
    missing: str = ""  # why this proposer could not run


def run_fleet_night(
    surrogate: Surrogate, times: TrialTimes, plan: Plan, proposer: str, workers: int, seed: int
) -> FleetNight:
    """One night; the same luck for the same seed, whatever the proposer and the number of workers."""
    settings = settings_of(plan, seed)
    clock = WorkClock()
    devices = Devices(times, device_factors(workers, seed), seed)
    trial = SurrogateTrial(surrogate, seed, clock)
    space = Space(surrogate.cube.menu, surrogate.baseline, None, max_changes=_max_changes(surrogate, proposer))
    timed = TimedProposer(_build(proposer, space, seed), clock)
    limit = plan.trials_of(workers)
    watch = FleetWatch(clock, limit, plan.step, partial(_true, surrogate, timed.proposer))
    journal = CountingJournal(clock, plan.append_s)
    executor = SimulatedExecutor(trial, workers, partial(_begin, clock, devices), clock)
    loop = ParallelLoop(
        trajectory=watch.trajectory,
        journal=journal,
        proposer=timed,
        judge=partial(_judge, space),
        trial=trial,
        control=watch,
        observer=watch,
        rule=build_rule(settings),
        baseline_cfg=surrogate.baseline,
        iters=ITERATIONS_PER_TRIAL * limit,
        max_attempts=settings.limits.max_attempts,
        on_pause="wait",
        boot_id="virtual",
        utc=clock.utc,
        clock=clock,
        executor=executor,
    )
    for record in _first_records(loop, surrogate, workers):
        loop.record(record)
    ending = loop.run()
    spent = np.array(timed.seconds or [0.0])
    last = max((begin for begin, _ in devices.busy), default=0.0)
    return FleetNight(
        proposer=proposer,
        workers=workers,
        seed=seed,
        trials=watch.spent,
        curve=tuple(watch.curve),
        at_s=tuple(watch.at_s),
        worker_use=devices.used(watch.began_s, last),
        elapsed_s=last - watch.began_s,
        proposals=len(timed.seconds),
        repeats=watch.repeats,
        proposal_s=float(np.median(spent)),
        proposal_p95_s=float(np.quantile(spent, 0.95)),
        propose_cpu_s=float(spent.sum()),
        loop_cpu_s=max(0.0, clock.worked_s - float(spent.sum())),
        records=journal.records,
        journal_bytes=journal.bytes,
        ending=ending,
    )


def settings_of(plan: Plan, seed: int) -> Settings:
    changes: dict[str, Any] = {
        "seed": seed,
        "decision.rule": plan.rule,
        "decision.earlier_runs": "off",
        "decision.vault": "off",
        "early_stop.enabled": "off",
    }
    return resolve(changes, {}).settings


def _max_changes(surrogate: Surrogate, proposer: str) -> int:
    return 1 if proposer == "tpe" else len(surrogate.cube.menu.knobs)


def _build(name: str, space: Space, seed: int) -> Proposer:
    if name == "tpe":
        from autoresearch.proposers.tpe import TpeProposer

        return TpeProposer(space, seed)
    return TrustRegionProposer(space, seed)


def _true(surrogate: Surrogate, proposer: Proposer, trajectory: Trajectory, lowest: Cfg) -> float:
    """The true mean of what would be handed over: what the model takes for the best, or the lowest single trial."""
    if isinstance(proposer, TrustRegionProposer):
        return surrogate.mean({**surrogate.baseline, **proposer.best(trajectory)})
    return surrogate.mean(lowest or surrogate.baseline)


def _begin(clock: WorkClock, devices: Devices, order: Any) -> float:
    with clock.stopped():
        return devices.begin(order, clock.now)


def _judge(space: Space, raw: str, trajectory: Trajectory) -> Verdict:
    return gate(raw, space.baseline, space.menu, steps=None, known=trajectory.known(), max_changes=space.max_changes)


def _first_records(loop: ParallelLoop, surrogate: Surrogate, workers: int) -> Sequence[Any]:
    yardstick = Yardstick(
        corpus_sha256=None,
        tokenizer_sha256=None,
        span_start_token=None,
        span_tokens=None,
        span_bytes=None,
        evaluator_version=None,
        trainer="surrogate",
        versions={},
        threads=1,
        device_kind="simulated",
        budget_kind="steps",
        budget_size=1,
    )
    menu = dict(surrogate.cube.menu.source)
    common: dict[str, Any] = {"ts": loop.utc(), "autoresearch_version": __version__}
    meta = Meta(
        **common,
        schema_version=1,
        run_id=uuid.uuid4().hex[:12],
        profile="fleet",
        yardstick=yardstick,
        yardstick_sha256=sha256_of(yardstick),
        baseline_cfg=surrogate.baseline,
        menu=menu,
        policy_sha256=sha256_of(menu),
        decision_rule=loop.rule,
    )
    started = Started(
        **common,
        pid=0,
        host="fleet",
        boot_id="virtual",
        proposer=loop.proposer.name,
        iters_requested=loop.iters,
        workers=workers if workers > 1 else None,
    )
    return meta, started
