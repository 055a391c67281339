"""The constants of the sequential rule, and the share of alpha that each test of a run directory may spend."""

from __future__ import annotations

from dataclasses import dataclass

from autoresearch.errors import ConfigError

FIRST_BLOCK = 64  # tests in the first block of the series; each block has twice as many as the one before
FIRST_LOOK = 0.25  # of what a test spends: a large gain is confirmed with the fewest seeds


@dataclass(frozen=True, slots=True)
class SequentialRule:
    """When a candidate is kept, reverted, or measured with one more seed. docs/decisions.md says how these were chosen.

    ``accept_delta_frac``: the gain that a keep needs at least, relative to the baseline. ``alpha``: the probability
    of any false keep in a run directory. A look is a number of seeds at which a keep is possible: ``min_seeds`` to
    ``max_seeds``. ``futility_frac``: below this share of ``accept_delta_frac`` a candidate is reverted. ``clip``: a
    single gain counts as at most this many noises of a paired difference. With fewer than ``own_seeds`` a keep also
    needs the t-test of its own gains alone: a candidate may be noisier than the others, and look calm over few seeds.
    Raises ``ConfigError``.
    """

    accept_delta_frac: float
    alpha: float = 0.05
    max_seeds: int = 12
    min_seeds: int = 4
    futility_frac: float = 0.8
    clip: float = 4.5
    own_seeds: int = 6

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ConfigError(f"alpha = {self.alpha} is not a probability above 0 and below 1", hint="alpha = 0.05")
        if not 2 <= self.min_seeds <= self.max_seeds:
            raise ConfigError(
                f"min_seeds = {self.min_seeds} is not between 2 and max_seeds = {self.max_seeds}",
                hint=f"max_seeds = {max(self.min_seeds, 12)}",
            )
        if not self.clip > 0:
            raise ConfigError(f"clip = {self.clip} is not above 0", hint="clip = 4.5")

    def level(self, j: int, n: int) -> float:
        """Return the level of the look of test ``j`` at ``n`` seeds: all looks together spend ``alpha_of_test``.

        The first look, at ``min_seeds``, gets a quarter, and the others share the rest evenly.
        """
        alpha, others = alpha_of_test(self.alpha, j), self.max_seeds - self.min_seeds
        if not others:
            return alpha
        return alpha * (FIRST_LOOK if n == self.min_seeds else (1 - FIRST_LOOK) / others)


def alpha_of_test(alpha: float, j: int) -> float:
    """Return what test number ``j`` (from 1) of a run directory may spend of ``alpha``.

    A fixed series, so that more iterations never spend anything twice: block b = 0, 1, 2, ... has 64 * 2^b tests that
    share alpha / ((b + 1) (b + 2)) evenly. The blocks sum to alpha (a telescoping series), and by the union bound the
    probability of any false keep is at most alpha, however the tests depend on each other. Raises ``ValueError`` if
    ``j`` is below 1.
    """
    if j < 1:
        raise ValueError(f"test number {j}: the first is 1")
    block, size, before = 0, FIRST_BLOCK, 0
    while j > before + size:
        before += size
        size *= 2
        block += 1
    return alpha / ((block + 1) * (block + 2)) / size


def alpha_spent(alpha: float, tests: int) -> float:
    """Return what the tests 1 to ``tests`` spend together."""
    spent, block, size = 0.0, 0, FIRST_BLOCK
    while tests > 0:
        spent += alpha / ((block + 1) * (block + 2)) * min(tests, size) / size
        tests -= size
        size *= 2
        block += 1
    return spent
