"""The vault: what a confirmed keep gains on the test split, which nothing has read before. Pure.

The validation span has chosen the keep, so that part of its gain there may be luck. The test split has chosen nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from autoresearch.core.decision import Needed, Pair, paired_gains, pairs_of
from autoresearch.core.measurement import Measurement
from autoresearch.core.records import DecisionRule, Evaluated, TrialEnded, Unsealed
from autoresearch.verdicts.student_t import upper_quantile

VAULT_SEEDS = 4  # measured on both sides, at least; fewer only where a trial failed or its sealed value is lost
TRIED_SEEDS = 2  # times as many seeds are tried at most, where the baseline failed with some
TAIL = 0.025  # of a 95% interval, on each side


@dataclass(frozen=True, slots=True)
class SealedKeep:
    """A confirmed keep whose vault is sealed. ``trials``: its own, those that only the vault needs included."""

    keep: Evaluated
    trials: tuple[TrialEnded, ...]
    failed: bool = False  # a trial that only the vault needed failed: there will be no more of them

    def with_trial(self, trial: TrialEnded) -> SealedKeep:
        """Add a trial that the vault needed, of the baseline (``iter`` 0) or of the keep."""
        own = (*self.trials, trial) if trial.iter else self.trials
        return SealedKeep(self.keep, own, self.failed or not isinstance(trial.outcome, Measurement))


def next_vault_trial(
    sealed: SealedKeep, baseline: Sequence[TrialEnded], rule: DecisionRule, seeds: int = VAULT_SEEDS
) -> Needed | None:
    """The next trial that the vault needs, or ``None`` once ``seeds`` are measured on both sides, or one failed."""
    if sealed.failed or len(pairs_of(sealed.trials, baseline)) >= seeds:
        return None
    measured = {t.seed for t in baseline if isinstance(t.outcome, Measurement)}
    unusable = {t.seed for t in baseline} - measured | {t.seed for t in sealed.trials}
    seed = next((s for s in range(rule.seed, rule.seed + TRIED_SEEDS * seeds) if s not in unusable), None)
    return None if seed is None else Needed(seed, of_baseline=seed not in measured)


def trials_to_unseal(sealed: SealedKeep, baseline: Sequence[TrialEnded]) -> set[int]:
    """The numbers of the trials of both sides whose seed is measured on both."""
    pairs = pairs_of(sealed.trials, baseline)
    seeds = {p.seed for p in pairs}
    return {p.baseline_trial for p in pairs} | {t.trial for t in sealed.trials if t.seed in seeds}


def build_unsealed(
    sealed: SealedKeep, baseline: Sequence[TrialEnded], test_bpb: Mapping[int, float], ts: str
) -> Unsealed:
    """Build the record that unseals a keep; ``test_bpb`` by trial. A seed without both values is left out."""
    own = {t.seed: t.trial for t in sealed.trials}
    pairs = [p for p in pairs_of(sealed.trials, baseline) if {own[p.seed], p.baseline_trial} <= test_bpb.keys()]
    tested = [Pair(p.seed, test_bpb[own[p.seed]], test_bpb[p.baseline_trial], p.baseline_trial) for p in pairs]
    gains = paired_gains(tested)
    low, high = interval(gains)
    return Unsealed(
        ts=ts,
        iter=sealed.keep.iter,
        seeds=tuple(p.seed for p in pairs),
        trials=tuple(own[p.seed] for p in pairs),
        baseline_trials=tuple(p.baseline_trial for p in pairs),
        missing=tuple(sorted(trials_to_unseal(sealed, baseline) - test_bpb.keys())),
        val_gain_frac=fmean(paired_gains(pairs)) if pairs else None,
        test_gain_frac=fmean(gains) if gains else None,
        test_low_frac=low,
        test_high_frac=high,
    )


def interval(gains: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95% interval of the mean of paired gains, by Student's t; ``None`` with fewer than two."""
    if (n := len(gains)) < 2:
        return None, None
    half = upper_quantile(TAIL, n - 1) * stdev(gains) / math.sqrt(n)
    return fmean(gains) - half, fmean(gains) + half
