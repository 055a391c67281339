"""Where the sequential rule is weakest: the first candidate, the test alone, noisy candidates, identical ones.

python -m benchmarks.rule_limits; the tables stand in RESULTS.md, and docs/verdicts.md draws on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from autoresearch.cli.bench import SD
from autoresearch.verdicts.bench import ACCEPT_DELTA_FRAC
from autoresearch.verdicts.binomial import upper_bound
from autoresearch.verdicts.night_rules import SequentialNights
from autoresearch.verdicts.rule import SequentialRule
from autoresearch.verdicts.simulate import NOISES, Floats, World, gaussian, simulate

CORRELATIONS = (0.0, 0.3, 0.67, 0.95)
CHUNK = 1000
PROPOSALS = 100
NOISY_SHARE, NOISY_FACTOR = 0.05, 100.0
WIDE_SD = 0.02  # four times the threshold: luck alone reaches it
Factors = Callable[[np.random.Generator, int], Floats]  # of the noise of as many candidates
OWN_NOISES: dict[str, Factors] = {
    "20% of the candidates 10 times as noisy": lambda rng, n: np.where(rng.random(n) < 0.2, 10.0, 1.0),
    "each candidate as noisy as a log-normal number, sigma 1": lambda rng, n: np.exp(rng.standard_normal(n)),
    "the same, sigma 2": lambda rng, n: np.exp(2 * rng.standard_normal(n)),
}

Candidates = Callable[[np.random.Generator, Floats, int], Iterator[Floats]]  # of one chunk of nights, in order


def main() -> None:
    print("### Where the rule is weakest\n")
    print(f"`python -m benchmarks.rule_limits`: simulated, seed SD {100 * SD:g}%\n")
    print("The first candidate: seeds until its keep (share kept); 4,000 nights of 10 proposals, one has the gain\n")
    print("| true gain | correlation 0 | 0.3 | 0.67 | 0.95 |\n|---|---|---|---|---|")
    for gain in (0.01, 0.02, 0.03):
        print(f"| {100 * gain:g}% | " + " | ".join(first_candidate(gain, rho) for rho in CORRELATIONS) + " |")
    print("\nP(any false keep) in a night of 100 nulls\n")
    print("| | correlation | nights | P | upper 95% |\n|---|---|---|---|---|")
    alone = SequentialRule(1e-6)
    for name, make in NOISES.items():
        for rho in (0.0, 0.67):
            (tally,) = simulate(World(make(SD), rho), [SequentialNights(alone)], 1000, (12,))
            print_line(f"threshold 0.0001%, {name}", rho, tally.nights_with_false_keep, 1000)
    print_line("5% of the candidates 100 times as noisy", 0.67, false_nights(noisy, 0.67, 3000), 3000)
    for name, factors in OWN_NOISES.items():
        bad = false_nights(of_own_noise(factors), 0.0, 1000, WIDE_SD)
        print_line(f"{name}, seed SD {100 * WIDE_SD:g}%", 0.0, bad, 1000)
    for families in (2, 5, 10, 20):
        for rho in (0.0, 0.67):
            bad = false_nights(alike(families), rho, 4000)
            print_line(f"{families} families of identical candidates", rho, bad, 4000)


def print_line(what: str, rho: float, bad: int, nights: int) -> None:
    print(f"| {what} | {rho:g} | {nights:,} | {bad / nights:.4f} | {upper_bound(bad, nights):.4f} |", flush=True)


def first_candidate(gain: float, rho: float) -> str:
    """Mean trials of the proposal with the gain, and the share of them that is kept."""
    rule = SequentialNights(SequentialRule(ACCEPT_DELTA_FRAC))
    (tally,) = simulate(World(gaussian(SD), rho, gain, 10, 10), [rule], 4000, (11,))
    return f"{(tally.trials - tally.null_trials) / tally.planted:.1f} ({tally.true_keeps / tally.planted:.2f})"


def false_nights(candidates: Candidates, rho: float, nights: int, sd: float = SD) -> int:
    """Count nights of nulls in which something is kept; a candidate shares z with the baseline, as in ``simulate``."""
    rng, bad = np.random.default_rng(3), 0
    for _ in range(nights // CHUNK):
        rule = SequentialNights(SequentialRule(ACCEPT_DELTA_FRAC))
        shape = (CHUNK, rule.seeds)
        z = 1 + math.sqrt(rho) * sd * rng.standard_normal(shape)
        own = math.sqrt(1 - rho) * sd
        rule.start(z + own * rng.standard_normal(shape))
        fooled = np.zeros(CHUNK, dtype=np.bool_)
        for j, noise in enumerate(candidates(rng, z, PROPOSALS), 1):
            fooled |= rule.judge(j, z + own * noise)[0]
        bad += int(fooled.sum())
    return bad


def noisy(rng: np.random.Generator, z: Floats, count: int) -> Iterator[Floats]:
    """Some candidates are far noisier than the others."""
    for _ in range(count):
        factor = np.where(rng.random(len(z)) < NOISY_SHARE, NOISY_FACTOR, 1.0)
        yield factor[:, None] * rng.standard_normal(z.shape)


def of_own_noise(factors: Factors) -> Candidates:
    """Each candidate has a noise of its own."""

    def draw(rng: np.random.Generator, z: Floats, count: int) -> Iterator[Floats]:
        for _ in range(count):
            yield factors(rng, len(z))[:, None] * rng.standard_normal(z.shape)

    return draw


def alike(families: int) -> Candidates:
    """All candidates of a family have the same values."""

    def draw(rng: np.random.Generator, z: Floats, count: int) -> Iterator[Floats]:
        for _ in range(families):
            noise = rng.standard_normal(z.shape)
            for _ in range(count // families):
                yield noise

    return draw


if __name__ == "__main__":
    main()
