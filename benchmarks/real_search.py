"""Nights of real trials: the trust region against Optuna's TPE over the joint space, paired by seed.

python -m benchmarks.real_search --dir DIR [--seeds 8] [--trials 20,40] [--fresh 4] [--set NAME=VALUE ...]

The searchers are those of ``autoresearch bench search`` (rows ``joint`` and ``tpe``); a trial is a training of the
profile with the seed of the night. What rail R7 refuses under the settings' own limits counts as a crashed trial. What
each night would hand over is then measured with ``--fresh`` seeds that no night has seen, as is the baseline. Every
trial is durable once it has ended: the same command continues after a kill, and prints what there is after a signal.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, cast

from autoresearch.benches.proposers.measure_joint import find_crash
from autoresearch.benches.search.ours import build_joint
from autoresearch.benches.search.problem import Build, Problem, Trial
from autoresearch.benches.search.rivals import build_tpe
from autoresearch.benches.search.surrogate import Surrogate
from autoresearch.benches.statistics.bootstrap import bootstrap_interval
from autoresearch.benches.statistics.sign_flip import sign_flip_test
from autoresearch.config.resolve import parse_assignment, resolve
from autoresearch.core.measurement import Failure
from autoresearch.core.values import Cfg
from autoresearch.daemon.fresh_trials import FreshTrials, Wanted
from autoresearch.daemon.observers.terminal import Terminal
from autoresearch.daemon.policy import Policy
from rails import Menu, Steps

NIGHT_SEED, FRESH_SEED = 9000, 9500
BUILDERS: dict[str, Build] = {"joint": build_joint, "tpe": build_tpe}


class Ended(Exception):
    """A signal or a pause ended the work."""


@dataclass(frozen=True)
class RealProblem(Problem):
    """A night whose trials are trainings."""

    trials: FreshTrials
    policy: Policy
    crash: Callable[[Cfg], str]

    @property
    def menu(self) -> Menu:
        return self.policy.menu

    @property
    def baseline(self) -> Cfg:
        return self.policy.baseline

    @property
    def steps(self) -> Steps:
        return self.policy.steps

    def baseline_value(self) -> float:
        value = measure(self.trials, self.baseline, NIGHT_SEED + self.seed)
        assert value is not None
        return value

    def run(self, cfg: Cfg) -> Trial:
        return Trial(None if self.crash(cfg) else measure(self.trials, cfg, NIGHT_SEED + self.seed), 1.0)


def measure(trials: FreshTrials, cfg: Cfg, seed: int) -> float | None:
    """The loss of a trial, known or new; ``None`` for a failure. Raises ``Ended``."""
    wanted = Wanted(cfg, seed)
    if (known := trials.known(wanted)) is not None:
        return known.loss
    if trials.known_failure(wanted) is not None:
        return None
    outcome = trials.measure(wanted)
    if outcome is None:
        raise Ended
    return None if isinstance(outcome, Failure) else outcome.loss


@dataclass(frozen=True)
class Handed:
    """What a night would hand over after so many trials."""

    proposer: str
    seed: int
    trials: int
    cfg: Cfg
    crashes: int


def run_night(problem: RealProblem, name: str, marks: Sequence[int]) -> list[Handed]:
    searcher = BUILDERS[name](problem)
    crashes, found = 0, []
    for number in range(1, max(marks) + 1):
        cfg = searcher.ask()
        value = problem.run(cfg).value
        searcher.tell(cfg, value)
        crashes += value is None
        if number in marks:
            found.append(Handed(name, problem.seed, number, searcher.pick(), crashes))
    return found


def report(trials: FreshTrials, baseline: Cfg, handed: Sequence[Handed], fresh: int) -> dict[str, Any]:
    """Every configuration handed over, with fresh seeds. Ends early, with what there is, where a signal ended it."""
    scores: dict[tuple[str, int, int], float] = {}
    base: list[float] = []
    complete = True
    try:
        base += [value for n in range(fresh) if (value := measure(trials, baseline, FRESH_SEED + n)) is not None]
        for h in sorted(handed, key=lambda h: (-h.trials, h.seed)):
            values = [measure(trials, h.cfg, FRESH_SEED + n) for n in range(fresh)]
            scores[h.proposer, h.seed, h.trials] = fmean(math.inf if v is None else v for v in values)
    except Ended:
        complete = False
    rows = []
    for name in BUILDERS:
        for mark in sorted({h.trials for h in handed}):
            own = {h.seed: scores.get((name, h.seed, mark)) for h in handed if h.proposer == name and h.trials == mark}
            values = [v for v in own.values() if v is not None]
            pairs = [
                v - o for s, v in own.items() if v is not None and (o := scores.get(("joint", s, mark))) is not None
            ]
            crashes = [h.crashes / mark for h in handed if h.proposer == name and h.trials == mark]
            rows.append(
                {
                    "proposer": name,
                    "trials": mark,
                    "seeds": len(values),
                    "mean": fmean(values) if values else None,
                    "se": stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None,
                    "crash_frac": fmean(crashes) if crashes else None,
                    "difference": fmean(pairs) if pairs and name != "joint" else None,
                    "interval": bootstrap_interval(pairs) if pairs and name != "joint" else None,
                    "p": sign_flip_test(pairs, draws=20_000) if len(pairs) > 1 and name != "joint" else None,
                    "by_seed": own,
                }
            )
    return {"baseline": fmean(base) if base else None, "complete": complete, "rows": rows}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", required=True)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--trials", type=lambda text: sorted(map(int, text.split(","))), default=[20, 40])
    parser.add_argument("--fresh", type=int, default=4)
    parser.add_argument("--set", dest="assignments", action="append", default=[])
    args = parser.parse_args()
    settings = resolve(dict(map(parse_assignment, args.assignments)) | {"dir": args.dir}, {}).settings
    terminal = Terminal(0, sys.stderr)
    handed: list[Handed] = []
    with FreshTrials(settings, "real-trials.jsonl", terminal, remember_failures=True) as trials:
        policy = trials.policy.with_vocab(trials.backend.vocab)
        crash = find_crash(trials.backend, settings)
        try:
            for seed in range(args.seeds):
                for name in BUILDERS:
                    problem = RealProblem(cast(Surrogate, None), seed, trials, policy, crash)
                    handed += run_night(problem, name, args.trials)
                    terminal.notify(f"seed {seed}, {name}: {handed[-1].crashes} of {args.trials[-1]} trials crashed")
        except Ended:
            terminal.notify("ended before every night was over; the same command continues")
        found = report(trials, policy.baseline, handed, args.fresh)
    print(json.dumps(found, indent=2))
    return 0 if found["complete"] else 1


if __name__ == "__main__":
    sys.exit(main())
