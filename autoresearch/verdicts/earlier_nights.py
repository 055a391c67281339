"""What earlier runs say of the noise, in many simulated nights at once: ``noise.EarlierNoise``, vectorised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autoresearch.verdicts.noise import MAX_EARLIER_DF, NO_NOISE, Noise, is_larger
from autoresearch.verdicts.simulate import Bools, Counts, Floats


@dataclass(frozen=True, slots=True)
class Estimates:
    """A variance for each night, with its degrees of freedom; 0 of these where nothing is known."""

    variance: Floats
    df: Floats

    def of(self, nights: Counts) -> Estimates:
        """Those of some nights."""
        return Estimates(self.variance[nights], self.df[nights])

    def pooled(self, other: Estimates, used: Bools) -> Estimates:
        """``noise.pool``, where ``used``."""
        df = self.df + np.where(used, other.df, 0.0)
        both = self.df * self.variance + np.where(used, other.df * other.variance, 0.0)
        return Estimates(np.divide(both, df, out=np.zeros_like(both), where=df > 0), df)

    def exceed(self, earlier: Estimates) -> Bools:
        """``noise.is_larger``."""
        found = np.zeros(len(self.df), dtype=np.bool_)
        for n in np.flatnonzero(self.variance > earlier.variance).tolist():
            found[n] = is_larger(self._noise(n), earlier._noise(n))
        return found

    def _noise(self, night: int) -> Noise:
        df = float(self.df[night])
        return Noise(float(np.sqrt(self.variance[night])), df, "gains") if df else NO_NOISE


@dataclass(frozen=True, slots=True)
class EarlierNights:
    """The noise of the earlier run of each night, of its repeated gains and of its trials."""

    gains: Estimates
    trials: Estimates

    def pooled(self, nights: Counts, gains: Estimates, trials: Estimates) -> tuple[Estimates, Estimates]:
        """Both kinds pooled with those of some nights, except where these refute the earlier ones."""
        earlier_gains, earlier_trials = self.gains.of(nights), self.trials.of(nights)
        used = ~(gains.exceed(earlier_gains) | trials.exceed(earlier_trials))
        return gains.pooled(earlier_gains, used), trials.pooled(earlier_trials, used)


def capped(estimates: Estimates) -> Estimates:
    """With at most ``MAX_EARLIER_DF`` degrees of freedom."""
    return Estimates(estimates.variance, np.minimum(estimates.df, MAX_EARLIER_DF))
