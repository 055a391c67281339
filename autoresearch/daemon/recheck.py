"""Measure what a run kept again, with seeds that no decision has seen: which gains are still there.

A kept gain was selected, so that it is too large on average. Trials with fresh seeds were not: their mean is an
unbiased estimate of the true gain on the same corpus, span and budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from autoresearch.config.settings import Settings
from autoresearch.core.decision import Pair, paired_gains
from autoresearch.core.measurement import Failure, Measurement
from autoresearch.core.ports import Observer
from autoresearch.core.records import Evaluated, Event, Meta, TrialEnded
from autoresearch.core.values import Cfg
from autoresearch.core.vault import interval
from autoresearch.daemon.fresh_trials import FreshTrial, FreshTrials, Wanted
from autoresearch.daemon.policy import refuse_differences
from autoresearch.daemon.service import MakeBackend
from autoresearch.errors import BaselineFailed

FRESH_TRIALS = "fresh-trials.jsonl"
SEED_OFFSET = 2000  # above the seeds of runs and of null trials

Label = Literal["holds", "smaller", "not there", "not resolved", "not measured"]


@dataclass(frozen=True, slots=True)
class Kept:
    """A configuration that was kept: by the run itself, by rule threshold replayed on its trials, or by both."""

    iter: int
    change: str  # for example "lr = 0.003"
    cfg: Cfg
    by_run: bool
    by_threshold: bool
    first_frac: float | None  # on the first seed alone, which is what rule threshold goes by
    claimed_frac: float  # by the run's decision; the first seed's where the run did not keep it
    seeds: int  # of the claim


@dataclass(slots=True)
class Rechecked:
    """A kept configuration and the baseline, measured with the same fresh seeds."""

    kept: Kept
    needed_frac: float  # the gain that a keep needs
    pairs: list[Pair] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def gains_frac(self) -> tuple[float, ...]:
        """The gain of every seed, a fraction of the baseline's mean."""
        return paired_gains(self.pairs)

    @property
    def mean_frac(self) -> float | None:
        """The mean gain over the fresh seeds."""
        return fmean(self.gains_frac) if self.gains_frac else None

    @property
    def interval_frac(self) -> tuple[float | None, float | None]:
        """Its 95% interval, by Student's t."""
        return interval(self.gains_frac)

    @property
    def label(self) -> Label:
        """``holds``: above zero at 95%, and the mean reaches what a keep needs. ``smaller``: above zero, below that.

        ``not there``: the whole interval is below what a keep needs, and zero is not excluded. ``not resolved``: the
        interval holds both.
        """
        low, high = self.interval_frac
        if low is None or high is None or self.mean_frac is None:
            return "not measured"
        if low > 0:
            return "holds" if self.mean_frac >= self.needed_frac else "smaller"
        return "not there" if high < self.needed_frac else "not resolved"


def kept_configurations(records: Iterable[Event]) -> list[Kept]:
    """What a run kept, and what rule threshold would have kept on the first seed of the same candidates."""
    trials: dict[int, TrialEnded] = {}
    found: list[Kept] = []
    needed, baseline = 0.0, dict[int, float]()  # the baseline's loss by seed
    for record in records:
        if isinstance(record, Meta):
            needed = record.decision_rule.accept_delta_frac
        elif isinstance(record, TrialEnded) and not record.void and isinstance(record.outcome, Measurement):
            trials[record.trial] = record
            if record.iter == 0:
                baseline[record.seed] = record.outcome.loss
        elif isinstance(record, Evaluated):
            first = _first_gain([trials[n] for n in record.trials if n in trials], baseline)
            by_run, by_threshold = record.decision == "keep", first is not None and first >= needed
            if by_run or by_threshold:
                found.append(_kept(record, by_run, by_threshold, first))
    return found


def _kept(record: Evaluated, by_run: bool, by_threshold: bool, first: float | None) -> Kept:
    claimed, seeds = record.improvement_frac, len(record.evidence.seeds) if record.evidence else len(record.trials)
    if not by_run and first is not None:
        claimed, seeds = first, 1
    change = record.proposal.text
    return Kept(record.iter, change, record.candidate_cfg, by_run, by_threshold, first, claimed, seeds)


def _first_gain(candidate: Sequence[TrialEnded], baseline: dict[int, float]) -> float | None:
    for trial in candidate:
        if isinstance(trial.outcome, Measurement) and trial.seed in baseline:
            return paired_gains([Pair(trial.seed, trial.outcome.loss, baseline[trial.seed], 0)])[0]
    return None


def recheck(
    settings: Settings,
    meta: Meta,
    kept: Sequence[Kept],
    seeds: int,
    observer: Observer,
    *,
    make_backend: MakeBackend | None = None,
) -> tuple[list[Rechecked], bool]:
    """Measure the baseline and every kept configuration with ``seeds`` fresh seeds in the directory of the settings.

    Seed by seed, so that an interrupted recheck has as many seeds of one configuration as of another. Returns what
    there is, and whether it is complete: the first signal ends it, and the same call continues. Raises
    ``YardstickMismatch`` if the settings do not measure as the run of ``meta`` did.
    """
    results = [Rechecked(k, meta.decision_rule.accept_delta_frac) for k in kept]
    with FreshTrials(settings, FRESH_TRIALS, observer, make_backend) as trials:
        refuse_differences({"baseline_cfg": meta.baseline_cfg}, {"baseline_cfg": trials.policy.baseline})
        here = trials.backend.yardstick.model_dump(mode="json")
        refuse_differences(meta.yardstick.model_dump(mode="json"), here)
        return results, measure_all(trials, meta.baseline_cfg, results, seeds, observer)


def measure_all(
    trials: FreshTrials, baseline_cfg: Cfg, results: Sequence[Rechecked], seeds: int, observer: Observer
) -> bool:
    """Add the pairs of every seed to ``results``; false if a signal ended it. Raises ``BaselineFailed``."""
    baseline: dict[int, FreshTrial] = {}
    for number, (seed, result) in enumerate(_plan(results, seeds), 1):
        wanted = Wanted(result.kept.cfg if result else baseline_cfg, seed)
        outcome = trials.known(wanted) or trials.measure(wanted)
        if outcome is None:
            return False
        name = result.kept.change if result else "baseline"
        observer.notify(f"fresh trial {number}/{seeds * (1 + len(results))}: {name}, seed {seed}, {_outcome(outcome)}")
        if result is None:
            if isinstance(outcome, Failure):
                raise BaselineFailed(f"seed {seed}: {outcome.detail}", hint="autoresearch doctor")
            baseline[seed] = outcome
        elif isinstance(outcome, Failure):
            result.failures.append(f"seed {seed}: {outcome.detail}")
        else:
            result.pairs.append(Pair(seed, outcome.loss, baseline[seed].loss, 0))
    return True


def _plan(results: Sequence[Rechecked], seeds: int) -> Iterator[tuple[int, Rechecked | None]]:
    """Every seed of the baseline (``None``) and then of each configuration; nothing if nothing was kept."""
    if results:
        for seed in range(SEED_OFFSET, SEED_OFFSET + seeds):
            yield seed, None
            yield from ((seed, result) for result in results)


def _outcome(outcome: FreshTrial | Failure) -> str:
    return f"failed: {outcome.detail}" if isinstance(outcome, Failure) else outcome.describe()
