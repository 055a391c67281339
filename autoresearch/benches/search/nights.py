"""Nights of every proposer on the surrogate, with paired seeds, and what each would hand over at its end."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context

import numpy as np

from autoresearch.benches.search.ours import build_joint, build_one_knob
from autoresearch.benches.search.problem import Build, Problem, Searcher
from autoresearch.benches.search.rivals import (
    build_climb,
    build_cmaes,
    build_gp,
    build_random,
    build_tpe,
    build_tpe_multivariate,
)
from autoresearch.benches.search.surrogate import Surrogate
from autoresearch.benches.statistics.sign_flip import sign_flip_test
from autoresearch.core.ports import Exhausted

BUILDERS: Mapping[str, Build] = {
    "random": build_random,
    "tpe": build_tpe,
    "tpe-multivariate": build_tpe_multivariate,
    "gp": build_gp,
    "cmaes": build_cmaes,
    "climb": build_climb,
    "one-knob": build_one_knob,
    "joint": build_joint,
}
OURS = "joint"
DESCRIPTIONS: Mapping[str, str] = {
    "random": "every knob drawn from its range",
    "tpe": "Optuna's TPE as shipped, over the joint space, started at the default",
    "tpe-multivariate": "the same with multivariate=True",
    "gp": "Optuna's GPSampler over the joint space",
    "cmaes": "Optuna's CMA-ES, started at the default",
    "climb": "one knob of the best so far, kept if a single trial is better",
    "one-knob": "ours: proposer tpe, one knob of the default",
    "joint": "ours: proposer trust-region, over the joint space",
}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Mark:
    """A night after ``trials`` trials, or at the training FLOPs of that many trials of the default."""

    trials: int
    is_flops: bool
    mean_true: float
    crash_frac: float


@dataclass(frozen=True, slots=True)
class Night:
    """``missing``: why this proposer could not run; it has no marks then."""

    proposer: str
    seed: int
    marks: tuple[Mark, ...]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """``mean_true`` is the true mean of what would be handed over; ``p`` of the paired test against ours."""

    proposer: str
    trials: int
    seeds: int
    mean_true: float
    se: float | None
    crash_frac: float
    equal: str  # "trials" or "flops"
    difference: float | None  # from ours, by pair: positive where ours is better
    p: float | None

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def run_night(surrogate: Surrogate, proposer: str, seed: int, marks: Sequence[int]) -> Night:
    """One night until its last mark."""
    problem = Problem(surrogate, seed)
    try:
        searcher = BUILDERS[proposer](problem)
    except ImportError as e:
        return Night(proposer, seed, (), f"package {e.name or e} is not installed")
    return Night(proposer, seed, tuple(_marks(problem, searcher, marks)))


def _marks(problem: Problem, searcher: Searcher, marks: Sequence[int]) -> Iterator[Mark]:
    surrogate = problem.surrogate
    has_flops = surrogate.costs is not None
    unit = surrogate.flops(problem.baseline)
    by_trials, by_flops = sorted(marks), sorted(marks) if has_flops else []
    trials, crashes, spent, is_over = 0, 0, 0.0, False
    limit = 4 * max(marks)  # of trials cheaper than the default
    while by_trials or by_flops:
        while by_trials and (is_over or trials >= by_trials[0]):
            yield _mark(problem, searcher, by_trials.pop(0), False, crashes, trials)
        while by_flops and (is_over or spent >= by_flops[0] * unit * (1 - 1e-9) or trials >= limit):
            yield _mark(problem, searcher, by_flops.pop(0), True, crashes, trials)
        if not by_trials and not by_flops:
            return
        try:
            cfg = searcher.ask()
        except Exhausted:
            is_over = True
            continue
        value = surrogate.draw(cfg, problem.seed)
        searcher.tell(cfg, value)
        trials, crashes, spent = trials + 1, crashes + (value is None), spent + surrogate.flops(cfg)


def _mark(problem: Problem, searcher: Searcher, at: int, is_flops: bool, crashes: int, trials: int) -> Mark:
    return Mark(at, is_flops, problem.surrogate.mean(searcher.pick()), crashes / trials if trials else 0.0)


_surrogate: Surrogate | None = None  # of a worker process


def _open_worker(surrogate: Surrogate) -> None:
    global _surrogate
    _surrogate = surrogate


def _work(job: tuple[str, int, tuple[int, ...]]) -> Night:
    assert _surrogate is not None  # the pool's initializer ran
    return run_night(_surrogate, *job)


def run_nights(
    surrogate: Surrogate,
    proposers: Sequence[str],
    seeds: int,
    marks: Sequence[int],
    jobs: int,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Night]:
    """Every proposer with every seed, in ``jobs`` processes; 1 runs them here. The result does not depend on it."""
    work = [(proposer, seed, tuple(marks)) for seed in range(seeds) for proposer in proposers]
    nights: list[Night] = []

    def take(found: Iterator[Night]) -> None:
        for night in found:
            nights.append(night)
            progress(len(nights), len(work))

    if jobs == 1:
        take(run_night(surrogate, *job) for job in work)
        return nights
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))  # inherited: each process computes on one core
    try:
        context = get_context("spawn")
        with ProcessPoolExecutor(jobs, context, _open_worker, (surrogate,)) as pool:
            take(pool.map(_work, work))
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
    return nights


def summarise(nights: Sequence[Night]) -> list[Row]:
    """One row for each proposer and mark that ran, in the order of ``BUILDERS``."""
    by_key: dict[tuple[str, bool, int], dict[int, Mark]] = {}
    for night in nights:
        for mark in night.marks:
            by_key.setdefault((night.proposer, mark.is_flops, mark.trials), {})[night.seed] = mark
    rows = []
    order = list(BUILDERS)
    for proposer, is_flops, trials in sorted(by_key, key=lambda k: (k[1], order.index(k[0]), k[2])):
        found = by_key[proposer, is_flops, trials]
        values = np.array([mark.mean_true for mark in found.values()])
        ours = by_key.get((OURS, is_flops, trials), {}) if proposer != OURS else {}
        pairs = [found[seed].mean_true - ours[seed].mean_true for seed in found if seed in ours]
        rows.append(
            Row(
                proposer=proposer,
                trials=trials,
                seeds=len(found),
                mean_true=float(values.mean()),
                se=float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None,
                crash_frac=float(np.mean([mark.crash_frac for mark in found.values()])),
                equal="flops" if is_flops else "trials",
                difference=float(np.mean(pairs)) if pairs else None,
                p=sign_flip_test(pairs, draws=20_000) if len(pairs) > 1 else None,
            )
        )
    return rows


def missing(nights: Sequence[Night]) -> dict[str, str]:
    """The proposers that could not run, and why."""
    return {night.proposer: night.missing for night in nights if night.missing}
