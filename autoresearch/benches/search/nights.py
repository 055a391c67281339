"""Nights of every proposer on the surrogate, with paired seeds, and what each would hand over at its end."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from types import MappingProxyType

import numpy as np

from autoresearch.benches.search.night import Mark, Night, run_night
from autoresearch.benches.search.ours import (
    build_joint,
    build_joint_r7,
    build_joint_r7_half,
    build_one_knob,
    build_poisoned_crashes,
    build_poisoned_crashes_fixed,
    build_poisoned_nonsense,
)
from autoresearch.benches.search.problem import Build
from autoresearch.benches.search.rivals import (
    build_climb,
    build_cmaes,
    build_gp,
    build_random,
    build_tpe,
    build_tpe_multivariate,
)
from autoresearch.benches.search.surrogate import Surrogate
from autoresearch.benches.statistics.bootstrap import bootstrap_interval
from autoresearch.benches.statistics.sign_flip import sign_flip_test

BUILDERS: Mapping[str, Build] = {
    "random": build_random,
    "tpe": build_tpe,
    "tpe-multivariate": build_tpe_multivariate,
    "gp": build_gp,
    "cmaes": build_cmaes,
    "climb": build_climb,
    "one-knob": build_one_knob,
    "joint": build_joint,
    "joint-r7": build_joint_r7,
    "joint-r7-half": build_joint_r7_half,
    "hybrid-nonsense": build_poisoned_nonsense,
    "hybrid-crashes": build_poisoned_crashes,
    "hybrid-crashes-fixed": build_poisoned_crashes_fixed,
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
    "joint-r7": "the same where rail R7 knows what crashes: it is refused and costs no trial",
    "joint-r7-half": "the same where rail R7 knows half of the table's rows: what crashes by them is refused",
    "hybrid-nonsense": "joint with an earned share (llm.share = auto) for a model whose answers are not JSON",
    "hybrid-crashes": "joint with an earned share for a model whose proposals all crash",
    "hybrid-crashes-fixed": "joint with a fixed share of 0.3 for a model whose proposals all crash",
}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


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
    low: float | None  # 95% interval of the difference
    high: float | None
    p: float | None

    def as_json(self) -> dict[str, object]:
        return asdict(self)


_surrogate: Surrogate | None = None  # of a worker process


def _open_worker(surrogate: Surrogate) -> None:
    global _surrogate
    _surrogate = surrogate


def _run(surrogate: Surrogate, job: tuple[str, int, tuple[int, ...]]) -> Night:
    name, seed, marks = job
    return run_night(surrogate, name, BUILDERS[name], seed, marks)


def _work(job: tuple[str, int, tuple[int, ...]]) -> Night:
    assert _surrogate is not None  # the pool's initializer ran
    return _run(_surrogate, job)


def run_nights(
    surrogate: Surrogate,
    proposers: Sequence[str],
    seeds: int,
    marks: Sequence[int],
    jobs: int,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    known: Mapping[tuple[str, int], Night] = MappingProxyType({}),
    keep: Callable[[Night], None] = lambda _: None,
) -> list[Night]:
    """Every proposer with every seed, in ``jobs`` processes; 1 runs them here. The result does not depend on it.

    ``known`` nights are not run again; ``keep`` is called with each new one.
    """
    wanted = [(proposer, seed) for seed in range(seeds) for proposer in proposers]
    work = [(*key, tuple(marks)) for key in wanted if key not in known]
    done = {key: known[key] for key in wanted if key in known}

    def take(found: Iterator[Night]) -> None:
        for night in found:
            done[night.proposer, night.seed] = night
            keep(night)
            progress(len(done), len(wanted))

    if jobs == 1 or len(work) < 2:
        take(_run(surrogate, job) for job in work)
        return [done[key] for key in wanted]
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))  # inherited: each process computes on one core
    try:
        context = get_context("spawn")
        with ProcessPoolExecutor(jobs, context, _open_worker, (surrogate,)) as pool:
            take(future.result() for future in as_completed([pool.submit(_work, job) for job in work]))
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
    return [done[key] for key in wanted]


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
        low, high = bootstrap_interval(pairs) or (None, None)
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
                low=low,
                high=high,
                p=sign_flip_test(pairs, draws=20_000) if len(pairs) > 1 else None,
            )
        )
    return rows


def missing(nights: Sequence[Night]) -> dict[str, str]:
    """The proposers that could not run, and why."""
    return {night.proposer: night.missing for night in nights if night.missing}
