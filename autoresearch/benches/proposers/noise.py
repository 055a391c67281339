"""The noise of a seed: the spread as measured, and draws from it that depend on configuration and seed alone. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True, slots=True)
class MeasuredNoise:
    """The pooled residuals of repeated configurations, as fractions of the mean of each.

    Deviations from the mean of n seeds are smaller than the noise, by sqrt((n - 1) / n) on average: each residual is
    divided by that, so that their spread is that of the noise. ``sd_frac`` is pooled, with n - 1 per configuration.
    """

    residuals: tuple[float, ...]
    sd_frac: float

    @classmethod
    def of(cls, groups: Iterable[Sequence[float]]) -> MeasuredNoise:
        """Pool the groups of values with one configuration each. Raises ``ValueError`` if none has two values."""
        residuals: list[float] = []
        squares, df = 0.0, 0
        for values in groups:
            n = len(values)
            if n < 2:
                continue
            mean = fmean(values)
            of_group = [(v - mean) / mean for v in values]
            squares += math.fsum(r * r for r in of_group)
            df += n - 1
            residuals += [r * math.sqrt(n / (n - 1)) for r in of_group]
        if not df:
            raise ValueError("no configuration has two seeds, so the noise of a seed is not known")
        return cls(tuple(residuals), math.sqrt(squares / df))

    def draw(self, key: str, seed: int) -> float:
        """The residual of this configuration and seed: one of the measured ones, chosen by hash."""
        return self.residuals[hash_of(key, seed, "noise") % len(self.residuals)]


def hash_of(key: str, seed: int, what: str) -> int:
    """A number of 64 bits that depends on its arguments alone."""
    return int.from_bytes(hashlib.sha256(f"{what}:{key}:{seed}".encode()).digest()[:8], "little")


def uniform_of(key: str, seed: int, what: str) -> float:
    """A number from 0 to below 1 that depends on its arguments alone."""
    return (hash_of(key, seed, what) >> 11) / 2**53
