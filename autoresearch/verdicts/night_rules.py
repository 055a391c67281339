"""The rules that simulated nights compare, each vectorised over nights. ``SequentialNights`` is ``judge``, decision
for decision: a test runs the same numbers through both."""

from __future__ import annotations

import math

import numpy as np

from autoresearch.verdicts.earlier_nights import EarlierNights, Estimates, capped
from autoresearch.verdicts.noise import BASELINE_SHARE, CLIP, DF_STEP, ENOUGH_DF, ITERATIONS, MAX_DF, normal_consistency
from autoresearch.verdicts.rule import SequentialRule
from autoresearch.verdicts.sequential import OWN_NOISE
from autoresearch.verdicts.simulate import Bools, Counts, Floats, World
from autoresearch.verdicts.student_t import upper_quantile

BASELINE_SEEDS = 3  # measured before the first proposal


class Threshold:
    """The origin's rule: keep if one trial is better than the baseline's at the same seed by
    ``accept_delta_frac``."""

    name = "threshold"
    seeds = 1

    def __init__(self, accept_delta_frac: float) -> None:
        self.accept_delta_frac = accept_delta_frac

    def start(self, baseline: Floats) -> None:
        self._baseline = baseline[:, 0]

    def judge(self, j: int, candidate: Floats) -> tuple[Bools, Counts]:
        gain = (self._baseline - candidate[:, 0]) / self._baseline
        return gain >= self.accept_delta_frac, np.ones(len(gain), dtype=np.int64)


class BestSoFar:
    """Keep if one trial is better than the best value so far, the baseline's or a kept candidate's."""

    name = "best_so_far"
    seeds = 1

    def start(self, baseline: Floats) -> None:
        self._best = baseline[:, 0].copy()

    def judge(self, j: int, candidate: Floats) -> tuple[Bools, Counts]:
        keep = candidate[:, 0] < self._best
        self._best = np.minimum(self._best, candidate[:, 0])
        return keep, np.ones(len(keep), dtype=np.int64)


class MeanMinusSd:
    """Keep if one trial is below the mean of the baseline's seeds by more than their standard deviation."""

    name = "mean_minus_sd"
    seeds = 1

    def start(self, baseline: Floats) -> None:
        seeds = baseline[:, :BASELINE_SEEDS]
        self._bar = seeds.mean(1) - seeds.std(1, ddof=1)

    def judge(self, j: int, candidate: Floats) -> tuple[Bools, Counts]:
        keep = candidate[:, 0] < self._bar
        return keep, np.ones(len(keep), dtype=np.int64)


class Record:
    """The rule for records of modded-nanogpt's track 3: the means of n runs of each, sigma known, p < 0.001.

    n is the least with which it finds ``gain`` with probability ``power``. It takes the variance of a difference to
    be 2 sd^2 / n; runs that correlate with rho have 2 sd^2 (1 - rho) / n. So n = 2 sd^2 (z_p + z_power sqrt(1 -
    rho))^2 / gain^2.
    """

    name = "record"
    P = 0.001

    def __init__(self, sd: float, rho: float, *, gain: float = 0.01, power: float = 0.9, at_most: int = 1000) -> None:
        self.sd = sd
        z = upper_quantile(self.P, math.inf) + upper_quantile(1 - power, math.inf) * math.sqrt(1 - rho)
        self.seeds = min(max(math.ceil(2 * (sd * z / gain) ** 2), 1), at_most)

    def start(self, baseline: Floats) -> None:
        self._mean = baseline[:, : self.seeds].mean(1)
        self._bar = upper_quantile(self.P, math.inf) * self.sd * math.sqrt(2 / self.seeds)

    def judge(self, j: int, candidate: Floats) -> tuple[Bools, Counts]:
        keep = self._mean - candidate[:, : self.seeds].mean(1) > self._bar
        return keep, np.full(len(keep), self.seeds, dtype=np.int64)


class SequentialNights:
    """The sequential rule (``sequential.judge`` with ``noise.pooled_noise``) in many nights at once."""

    name = "sequential"

    def __init__(self, rule: SequentialRule, baseline_seeds: int = BASELINE_SEEDS) -> None:
        self.rule = rule
        self.seeds = max(rule.max_seeds, baseline_seeds)
        self.baseline_seeds = baseline_seeds
        self.earlier_run: EarlierNights | None = None

    def start(self, baseline: Floats) -> None:
        nights, seeds = baseline.shape
        self._baseline = baseline
        count = np.arange(1, seeds + 1)
        self._mean = np.cumsum(baseline, 1) / count  # (nights, seeds): of the first 1, 2, ... seeds
        self._measured = np.full(nights, self.baseline_seeds)
        self._reach = np.zeros((nights, self.rule.max_seeds + 1), dtype=np.int64)  # A_s of noise.py
        self._squares = np.zeros((nights, 0))  # scaled squared residuals of all judged candidates, and their weights
        self._weights = np.zeros((nights, 0))
        self._filled = np.zeros(nights, dtype=np.int64)

    def judge(self, j: int, candidate: Floats) -> tuple[Bools, Counts]:
        keep = np.zeros(len(candidate), dtype=np.bool_)
        trials = np.zeros(len(candidate), dtype=np.int64)
        open_ = np.arange(len(candidate))
        for n in range(1, self.rule.max_seeds + 1):
            own = candidate[open_, :n]
            gains = (self._baseline[open_, :n] - own) / self._mean[open_, n - 1, None]
            self._measured[open_] = np.maximum(self._measured[open_], n)
            kept, reverted = self._look(j, open_, own, gains)
            keep[open_[kept]] = True
            trials[open_] = n
            closed = kept | reverted
            self._remember(open_[closed], gains[closed])
            open_ = open_[~closed]
            if not len(open_):
                break
        return keep, trials

    def _look(self, j: int, nights: Counts, own: Floats, gains: Floats) -> tuple[Bools, Bools]:
        """Which candidates are kept and which reverted by their values and gains; the others go on."""
        rule, mean, n = self.rule, gains.mean(1), gains.shape[1]
        reverted = mean < rule.futility_frac * rule.accept_delta_frac
        kept = np.zeros(len(nights), dtype=np.bool_)
        if n >= rule.min_seeds:
            hopeful = np.flatnonzero(~reverted & (mean >= rule.accept_delta_frac))
            kept[hopeful] = self._passes(j, nights[hopeful], own[hopeful], gains[hopeful])
        if n == rule.max_seeds:
            reverted |= ~kept
        return kept, reverted

    def _passes(self, j: int, nights: Counts, own: Floats, gains: Floats) -> Bools:
        n = gains.shape[1]
        variance, df = self._noise(nights, own, gains)
        own_variance = gains.var(1, ddof=1)
        df = np.where(own_variance > OWN_NOISE**2 * variance, np.minimum(df, n - 1), df)
        sd = np.sqrt(np.maximum(variance, own_variance))
        p = self.rule.level(j, n)
        values, places = np.unique(df, return_inverse=True)
        critical = np.array([upper_quantile(p, float(v)) for v in values])[places]
        with np.errstate(divide="ignore", invalid="ignore"):
            clipped = np.clip(gains / sd[:, None], -self.rule.clip, self.rule.clip)
        statistic = np.nan_to_num(clipped).sum(1) / math.sqrt(n)
        half = critical * sd
        if n < self.rule.own_seeds:
            half = np.maximum(half, upper_quantile(p, n - 1) * np.sqrt(own_variance))
        passed: Bools = (statistic >= critical) & (gains.mean(1) > half / math.sqrt(n))
        return passed

    def _noise(self, nights: Counts, own: Floats, gains: Floats) -> tuple[Floats, Floats]:
        """``pooled_noise``: its variance and degrees of freedom, this candidate's values and gains included."""
        n = gains.shape[1]
        reach = self._reach[nights]
        reach[:, 2 : n + 1] += 1
        d, df = reach.sum(1), _df_of_reach(reach)
        measured = self._measured[nights]
        trials_df = measured + n - 2.0
        from_gains = df >= np.minimum(trials_df, ENOUGH_DF)
        of_gains, of_trials = (Estimates(np.zeros(len(nights)), np.asarray(f)) for f in (df, trials_df))
        wanted = from_gains | (self.earlier_run is not None)
        of_gains.variance[wanted] = self._pooled(nights[wanted], gains[wanted], d[wanted])
        wanted = ~from_gains | (self.earlier_run is not None)
        for m in np.unique(measured[wanted]):
            rows = np.flatnonzero(wanted & (measured == m))
            values = self._baseline[nights[rows], :m]
            squares_of_both = m * values.var(1) + n * own[rows].var(1)
            of_trials.variance[rows] = 2 * squares_of_both / (m + n - 2) / values.mean(1) ** 2
        if self.earlier_run is not None:
            of_gains, of_trials = self.earlier_run.pooled(nights, of_gains, of_trials)
            from_gains = of_gains.df >= np.minimum(of_trials.df, ENOUGH_DF)
        variance = np.where(from_gains, of_gains.variance, of_trials.variance)
        return variance, np.where(from_gains, of_gains.df, of_trials.df)

    def as_earlier(self) -> EarlierNights:
        """``noise_of_run`` of what these nights have judged, for a later run."""
        nights = np.arange(len(self._baseline))
        d, df = self._reach.sum(1), _df_of_reach(self._reach)
        gains = np.zeros(len(nights))
        known = np.flatnonzero(d)
        gains[known] = self._pooled(nights[known], np.zeros((len(known), 0)), d[known])
        trials = np.zeros(len(nights))
        for m in np.unique(self._measured):
            rows = np.flatnonzero(self._measured == m)
            values = self._baseline[rows, :m]
            trials[rows] = 2 * values.var(1, ddof=1) / values.mean(1) ** 2 if m > 1 else 0.0
        return EarlierNights(capped(Estimates(gains, df)), capped(Estimates(trials, self._measured - 1.0)))

    def _pooled(self, nights: Counts, gains: Floats, d: Counts) -> Floats:
        own, weight = _scaled_squares(gains)
        squares = np.concatenate([self._squares[nights], own], 1)
        weights = np.concatenate([self._weights[nights], np.full_like(own, weight)], 1)
        variance: Floats = (weights * squares).sum(1) / d
        scale = normal_consistency(CLIP) * d
        for _ in range(ITERATIONS):
            variance = (weights * np.minimum(squares, CLIP * CLIP * variance[:, None])).sum(1) / scale
        return variance

    def _remember(self, nights: Counts, gains: Floats) -> None:
        """Add the residuals of closed candidates to the pool of their nights."""
        n = gains.shape[1]
        if n < 2 or not len(nights):
            return
        missing = int(self._filled[nights].max()) + n - self._squares.shape[1]
        if missing > 0:
            room = np.zeros((len(self._squares), missing + 4 * n))
            self._squares = np.concatenate([self._squares, room], 1)
            self._weights = np.concatenate([self._weights, room], 1)
        columns = self._filled[nights, None] + np.arange(n)
        squares, weight = _scaled_squares(gains)
        self._squares[nights[:, None], columns] = squares
        self._weights[nights[:, None], columns] = weight
        self._filled[nights] += n
        self._reach[nights, 2 : n + 1] += 1


class AfterEarlierRun(SequentialNights):
    """The sequential rule in nights that each had an earlier run in ``earlier``, a world of its own."""

    def __init__(self, rule: SequentialRule, earlier: World, baseline_seeds: int = BASELINE_SEEDS) -> None:
        super().__init__(rule, baseline_seeds)
        self.earlier = earlier
        self._rng = np.random.default_rng(1)

    def start(self, baseline: Floats) -> None:
        super().start(baseline)
        run = SequentialNights(self.rule, self.baseline_seeds)
        shape = (len(baseline), run.seeds)
        z = 1 + math.sqrt(self.earlier.rho) * self.earlier.draw(self._rng, shape)
        own = math.sqrt(1 - self.earlier.rho)
        run.start(z + own * self.earlier.draw(self._rng, shape))
        for j in range(1, self.earlier.proposals + 1):
            run.judge(j, z + own * self.earlier.draw(self._rng, shape))
        self.earlier_run = run.as_earlier()


def _df_of_reach(reach: Counts) -> Floats:
    """``noise.df_of_reach``, of each row."""
    d, squares = reach.sum(1), (reach * reach).sum(1)
    shared = d + BASELINE_SHARE**2 * (squares - d)
    df = np.divide(d * d, shared, out=np.zeros(len(d)), where=d > 0)
    rounded: Floats = np.minimum(np.floor(df / DF_STEP) * DF_STEP, MAX_DF)
    return rounded


def _scaled_squares(gains: Floats) -> tuple[Floats, float]:
    n = gains.shape[1]
    if not n:
        return gains, 0.0
    squares: Floats = (gains - gains.mean(1, keepdims=True)) ** 2 * n / (n - 1)
    return squares, (n - 1) / n
