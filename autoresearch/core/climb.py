"""The total gain of a climb: this run's winner against the first baseline, measured within this run. Pure.

Gains of several runs are not added up: each was selected, and each is relative to another baseline. Both configurations
are trained here with the same fresh seeds, which no verdict has seen, so that their paired gain is unbiased.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from autoresearch.core.decision import Pair, paired_gains
from autoresearch.core.measurement import Measurement
from autoresearch.core.side_trial_record import Purpose
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.core.vault import interval

CLIMB_SEEDS = 4
CLIMB_SEED_OFFSET = 3000  # above the seeds of the run, of null trials and of a recheck


@dataclass(frozen=True, slots=True)
class SideNeeded:
    """The next side trial. ``iter``: as in ``SideTrial``."""

    purpose: Purpose
    iter: int | None
    seed: int
    cfg: Cfg


@dataclass(frozen=True, slots=True)
class TotalGain:
    """A paired gain over the first baseline. ``iter``: of the winner; 0 where the run's own baseline is."""

    iter: int
    seeds: tuple[int, ...]
    gain_frac: float | None  # None: no seed is measured on both sides
    low_frac: float | None  # 95% interval, by Student's t
    high_frac: float | None
    failed: int = 0  # trials of either side that failed


def next_climb_trial(run: Trajectory) -> SideNeeded | None:
    """The next trial that the total gain needs: seed by seed the first baseline, then the winner."""
    if run.meta is None or run.meta.climb is None:
        return None
    winner = run.winner
    sides: tuple[tuple[int | None, Cfg], ...] = (
        (None, run.meta.climb.first_baseline_cfg),
        (winner.iter, winner.candidate_cfg) if winner else (0, run.meta.baseline_cfg),
    )
    done = {(t.iter, t.seed) for t in run.side_trials if t.purpose == "climb"}
    first = run.meta.decision_rule.seed + CLIMB_SEED_OFFSET
    for seed in range(first, first + CLIMB_SEEDS):
        for n, cfg in sides:
            if (n, seed) not in done:
                return SideNeeded("climb", n, seed, cfg)
    return None


def total_gain(run: Trajectory) -> TotalGain | None:
    """The total gain so far; ``None`` of a run that is not part of a climb, or before its first trial."""
    if run.meta is None or run.meta.climb is None:
        return None
    n = run.winner.iter if run.winner else 0
    trials = [t for t in run.side_trials if t.purpose == "climb" and t.iter in (None, n)]
    if not trials:
        return None
    losses = {(t.iter, t.seed): t.outcome.loss for t in trials if isinstance(t.outcome, Measurement)}
    seeds = sorted({t.seed for t in trials if {(None, t.seed), (n, t.seed)} <= losses.keys()})
    gains = paired_gains([Pair(s, losses[n, s], losses[None, s], 0) for s in seeds])
    low, high = interval(gains)
    return TotalGain(n, tuple(seeds), fmean(gains) if gains else None, low, high, len(trials) - len(losses))
