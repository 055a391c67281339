"""The race at the end of a run: its next trial and its record, from the trajectory alone. Pure."""

from __future__ import annotations

from statistics import fmean

from autoresearch.core.climb import SideNeeded
from autoresearch.core.decision import Pair, paired_gains
from autoresearch.core.measurement import Measurement
from autoresearch.core.race_record import Eliminated, Race
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.vault import interval
from autoresearch.verdicts.race import ALPHA, MAX_SEEDS, Losses, RaceNoise, Standing, run_race

RACE_SEED_OFFSET = 5000  # above every other range of fresh seeds


def race_is_due(run: Trajectory) -> bool:
    """Whether there are keeps that have not been raced as they are now."""
    return bool(run.finalists) and not run.is_raced


def standing(run: Trajectory) -> Standing:
    """The race of the present finalists so far. Needs at least one."""
    rule = run.meta.decision_rule if run.meta else None
    first = (rule.seed if rule else 0) + RACE_SEED_OFFSET
    evidence = run.finalists[0].evidence
    noise = RaceNoise(evidence.sd_frac, evidence.df) if evidence and evidence.df > 0 else RaceNoise()
    return run_race(run.race_arms, range(first, first + MAX_SEEDS), race_losses(run), noise)


def race_losses(run: Trajectory) -> Losses:
    """The loss of each race trial by arm and seed; ``None`` of one that failed."""
    return {
        (t.iter, t.seed): t.outcome.loss if isinstance(t.outcome, Measurement) else None
        for t in run.side_trials
        if t.purpose == "race" and t.iter is not None
    }


def next_race_trial(run: Trajectory) -> SideNeeded | None:
    """The next trial of the race; ``None`` once it is over or none is due."""
    if run.meta is None or not race_is_due(run) or (needed := standing(run).needed) is None:
        return None
    arm, seed = needed
    cfg = next((k.candidate_cfg for k in run.finalists if k.iter == arm), run.meta.baseline_cfg)
    return SideNeeded("race", arm, seed, cfg)


def build_race(run: Trajectory, ts: str) -> Race:
    """The record of a race that is over. Of the arms that are left the keep with the lowest mean loss wins."""
    found, losses = standing(run), race_losses(run)
    keeps = [arm for arm in found.left if arm]
    winner = min(keeps, key=lambda arm: fmean(losses[arm, s] or 0.0 for s in found.seeds), default=None)
    gains: tuple[float, ...] = ()
    if winner is not None:
        both = [(s, losses.get((winner, s)), losses.get((0, s))) for s in found.seeds]
        gains = paired_gains([Pair(s, own, base, 0) for s, own, base in both if own is not None and base is not None])
    low, high = interval(gains)
    return Race(
        ts=ts,
        arms=run.race_arms,
        seeds=found.seeds,
        left=found.left,
        eliminated=tuple(Eliminated(iter=e.arm, after_seeds=e.after_seeds, by=e.by) for e in found.eliminated),
        alpha=ALPHA,
        winner=winner,
        gain_frac=fmean(gains) if gains else None,
        low_frac=low,
        high_frac=high,
    )
