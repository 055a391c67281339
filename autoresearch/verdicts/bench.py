"""The self-proofs: cells of simulated nights, each a noise, a correlation and a gain, with every rule beside ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autoresearch.verdicts.binomial import upper_bound
from autoresearch.verdicts.night_rules import BestSoFar, MeanMinusSd, Record, SequentialNights, Threshold
from autoresearch.verdicts.rule import SequentialRule
from autoresearch.verdicts.simulate import NOISES, Draw, NightRule, Tally, World, simulate

CORRELATIONS = (0.0, 0.3, 0.67, 0.95)
PLANTED_GAINS = (0.0025, 0.005, 0.01, 0.02)
PLANTED_EVERY = 10  # one proposal in ten has the gain
ACCEPT_DELTA_FRAC = 0.005  # of every profile
RECORD_AT_MOST = 20  # seeds: the standard deviation of a file can be one that hardly any number of seeds resolves


@dataclass(frozen=True, slots=True)
class Cell:
    """What one rule did in the nights of one world. ``gain`` is 0 where nothing was planted; then there is no power."""

    noise: str
    rho: float
    gain: float
    rule: str
    tally: Tally

    @property
    def p_any_false_keep(self) -> float:
        """The share of nights in which a proposal without any gain was kept."""
        return self.tally.nights_with_false_keep / self.tally.nights

    @property
    def p_any_upper95(self) -> float:
        """Its one-sided upper 95% bound, by Clopper and Pearson."""
        return upper_bound(self.tally.nights_with_false_keep, self.tally.nights)

    @property
    def power(self) -> float | None:
        """The share of proposals with the gain that were kept."""
        return self.tally.true_keeps / self.tally.planted if self.tally.planted else None

    @property
    def trials_per_proposal(self) -> float:
        """Trials of candidates per proposal; those of the baseline are apart."""
        return self.tally.trials / self.tally.proposals

    @property
    def trials_per_true_keep(self) -> float | None:
        """Trials of candidates per true keep, the nulls' included."""
        return self.tally.trials / self.tally.true_keeps if self.tally.true_keeps else None

    def as_json(self) -> dict[str, Any]:
        """The cell as ``--json`` prints it."""
        t = self.tally
        return {
            "noise": self.noise,
            "rho": self.rho,
            "gain": self.gain,
            "rule": self.rule,
            "nights": t.nights,
            "proposals": t.proposals // t.nights,
            "p_any_false_keep": self.p_any_false_keep,
            "p_any_upper95": self.p_any_upper95,
            "mean_false_keeps": t.false_keeps / t.nights,
            "power": self.power,
            "trials_per_proposal": self.trials_per_proposal,
        }


def noises(sd: float) -> dict[str, tuple[Draw, float]]:
    """The named noises with standard deviation ``sd``: how to draw each, and its standard deviation."""
    return {name: (make(sd), sd) for name, make in NOISES.items()}


def run_bench(
    sources: Mapping[str, tuple[Draw, float]],
    gains: tuple[float, ...],
    *,
    nights: int,
    proposals: int,
    seed: int,
    correlations: tuple[float, ...] = CORRELATIONS,
    progress: Callable[[str], None] = lambda text: None,
) -> Iterator[Cell]:
    """Simulate every noise at every correlation and gain; one cell a rule, all rules of a world on the same nights."""
    worlds = [(name, rho, gain) for name in sources for rho in correlations for gain in gains]
    for number, (name, rho, gain) in enumerate(worlds):
        draw, sd = sources[name]
        rules = compared_rules(sd, rho, planted=gain > 0)
        world = World(draw, rho, gain, PLANTED_EVERY if gain > 0 else 0, proposals)
        text = f"{number + 1}/{len(worlds)}: {name}, correlation {rho:g}, gain {100 * gain:g}%"

        def done(so_far: int, text: str = text) -> None:
            progress(f"{text}, night {so_far:,} of {nights:,}")

        tallies = simulate(world, rules, nights, (seed, number), done=done)
        for rule, tally in zip(rules, tallies, strict=True):
            yield Cell(name, rho, gain, rule.name, tally)


def compared_rules(sd: float, rho: float, *, planted: bool) -> list[NightRule]:
    """Ours first. The record rule needs a gain to find, so that it is compared where one is planted."""
    rules: list[NightRule] = [
        SequentialNights(SequentialRule(ACCEPT_DELTA_FRAC)),
        Threshold(ACCEPT_DELTA_FRAC),
        BestSoFar(),
        MeanMinusSd(),
    ]
    return [*rules, Record(sd, rho, at_most=RECORD_AT_MOST)] if planted else rules
