"""What early stopping would have done to trials whose full curves are known. Pure.

The trials are taken in their order. The rule learns from a trial only after it, and only if it ran in full: it was not
stopped, or the audit let it run on. A keep whose stop only the audit prevented counts as lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch.verdicts.curves import POINTS, Points, gaps
from autoresearch.verdicts.early_stop import Curve, Learned, StopRule, forecast, is_audited, learn

RELEARN = 40  # the rule learns anew after each 1/40 more curves: every time would take minutes
RUN_ID = "replay"  # of the audit's draw


@dataclass(frozen=True, slots=True)
class FullTrial:
    """One configuration on one seed, with the curve of the baseline that it is compared with."""

    group: str
    run: str
    points: Points  # the last one is the final value, at fraction 1
    baseline: Points
    kind: str = ""  # the knob, if it is known
    warmup_frac: float = 0.0

    @property
    def gain(self) -> float:
        """The final gain against the baseline."""
        final = self.baseline[-1][1]
        return (final - self.points[-1][1]) / final


@dataclass(frozen=True, slots=True)
class Replayed:
    """A trial under the rule: the fraction at which it would be stopped (1: never), and whether the audit ran it on."""

    trial: FullTrial
    stop_at: float
    audited: bool
    predicted: float | None

    @property
    def would_stop(self) -> bool:
        return self.stop_at < 1


@dataclass(frozen=True, slots=True)
class StopFigures:
    """The counts of a replay; ``None``: there is nothing to divide by."""

    tolerated: float
    trials: int
    keeps: int
    keeps_lost: int  # would-be stops among them, audited or not
    keeps_lost_frac: float | None
    keeps_lost_upper95: float  # Clopper-Pearson, one-sided; 1 without a keep
    reverts: int
    reverts_stopped: int
    saved_frac: float | None  # of the training of the reverts
    near: int  # trials within one threshold of the decision
    near_reverts: int
    near_saved_frac: float | None
    stops: int  # would-be stops, audited or not
    audited: int
    audited_keeps: int
    learned_before_first: int | None  # full curves that were known at the first would-be stop


def replay(trials: Sequence[FullTrial], needed: float, rule: StopRule) -> list[Replayed]:
    """Judge each trial at each point of its curve, knowing the earlier ones."""
    known: list[Curve] = []
    learned: Learned | None = None
    learned_from = 0
    out: list[Replayed] = []
    for number, trial in enumerate(trials):
        if len(known) >= rule.min_curves and (learned is None or len(known) >= learned_from * (1 + 1 / RELEARN)):
            learned, learned_from = learn(known, needed, rule), len(known)
        stop_at, predicted = (1.0, None) if learned is None else _first_stop(trial, learned)
        audited = stop_at < 1 and is_audited(RUN_ID, number, rule)
        out.append(Replayed(trial, stop_at, audited, predicted))
        if stop_at == 1 or audited:
            known.append(Curve(gaps(trial.points, trial.baseline), trial.gain, trial.kind))
    return out


def summarise_stops(replayed: Sequence[Replayed], needed: float, rule: StopRule) -> StopFigures:
    """The counts and shares of a replay."""
    keeps = [r for r in replayed if r.trial.gain >= needed]
    reverts = [r for r in replayed if r.trial.gain < needed]
    near = [r for r in replayed if abs(r.trial.gain - needed) <= abs(needed)]
    near_reverts = [r for r in near if r.trial.gain < needed]
    lost = sum(r.would_stop for r in keeps)
    stops = [n for n, r in enumerate(replayed) if r.would_stop]
    return StopFigures(
        tolerated=rule.tolerated,
        trials=len(replayed),
        keeps=len(keeps),
        keeps_lost=lost,
        keeps_lost_frac=lost / len(keeps) if keeps else None,
        keeps_lost_upper95=upper95(lost, len(keeps)),
        reverts=len(reverts),
        reverts_stopped=sum(r.would_stop and not r.audited for r in reverts),
        saved_frac=_saved(reverts),
        near=len(near),
        near_reverts=len(near_reverts),
        near_saved_frac=_saved(near_reverts),
        stops=len(stops),
        audited=sum(r.audited for r in replayed),
        audited_keeps=sum(r.audited for r in keeps),
        learned_before_first=stops[0] if stops else None,
    )


def upper95(hits: int, of: int) -> float:
    """The one-sided 95% upper bound of a share (Clopper and Pearson, Biometrika 26, 1934); 1 if ``of`` is 0."""
    if hits >= of:
        return 1.0
    low, high = hits / of, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(hits, of, middle) > 0.05 else (low, middle)
    return high


def _at_most(hits: int, of: int, p: float) -> float:
    """The probability of at most ``hits`` of ``of`` (binomial)."""
    log_p, log_q = math.log(p) if p > 0 else -math.inf, math.log1p(-p) if p < 1 else -math.inf
    terms = []
    for k in range(hits + 1):
        choose = math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1)
        terms.append(math.exp(choose + (k * log_p if k else 0.0) + (of - k) * log_q))
    return math.fsum(terms)


def _first_stop(trial: FullTrial, learned: Learned) -> tuple[float, float | None]:
    """The fraction of the first would-be stop, and the gain that is predicted there; 1 and None without one."""
    path = gaps(trial.points[:-1], trial.baseline)
    looked = 0
    for fraction, _ in trial.points[:-1]:
        seen = int(POINTS * fraction + 1e-6)
        if seen > looked:
            looked = seen
            view = forecast(learned, path[:seen], trial.kind, trial.warmup_frac)
            if view.stop:
                return fraction, view.predicted
    return 1.0, None


def _saved(reverts: Sequence[Replayed]) -> float | None:
    """The share of their training that is not done; an audited trial saves nothing."""
    if not reverts:
        return None
    return math.fsum(0.0 if r.audited else 1 - r.stop_at for r in reverts) / len(reverts)
