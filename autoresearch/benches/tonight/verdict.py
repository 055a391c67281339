"""Which proposer should drive the loop: the candidates against TPE, seed by seed, and one decision. Pure.

A rival of TPE, a model or another optimizer, has to prove itself. It is chosen where its regret after 30 trials is
lower than TPE's with p < 5% after Holm's correction for the number of rivals (Holm 1979). Without such a rival the
answer is TPE, unless one is ahead and a number of further seeds that can be run would tell. Random search is shown as a
reference and is not a rival.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import fsum
from typing import Literal

from autoresearch.benches.comparison import ALPHA, describe_p
from autoresearch.benches.statistics.bootstrap import bootstrap_interval
from autoresearch.benches.statistics.detectable import cases_needed
from autoresearch.benches.statistics.sign_flip import sign_flip_test
from autoresearch.benches.tonight.candidate import BASELINE, TRIALS, Candidate
from autoresearch.core.text import plural

REFERENCE = "random"
MIN_SEEDS = 20  # of a candidate, before a difference that is not significant counts as none
MAX_MORE_SEEDS = 200  # a model that needs more seeds than these to show its lead has none that matters
Decision = Literal["model", "tpe", "cannot tell"]
Interval = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Row:
    """A candidate with its figures.

    A gain is TPE's regret minus the candidate's on the same seeds: above 0 is better.
    """

    candidate: Candidate
    seeds: int
    regret: float | None
    interval: Interval
    at_clock: float | None
    paired: int  # seeds that TPE has too
    gain: float | None
    gain_interval: Interval
    clock_gain: float | None  # TPE's regret at its own time for 30 trials minus the candidate's at that time
    clock_interval: Interval
    p: float | None  # sign-flip test, two-sided
    p_holm: float | None  # corrected for the number of rivals
    seeds_needed: int | None  # in all, to show a true gain as large as this one

    @property
    def gain_per_kj(self) -> float | None:
        """The gain for each kilojoule that its proposals of 30 trials take."""
        joules = self.candidate.proposal_j
        return self.gain / (TRIALS * joules / 1000) if joules and self.gain is not None else None

    @property
    def more_seeds(self) -> int | None:
        """How many further seeds would tell, where that is known."""
        floor = max(0, MIN_SEEDS - self.paired)
        if self.seeds_needed is None:
            return floor or None
        return max(floor, self.seeds_needed - self.paired, 1)


@dataclass(frozen=True, slots=True)
class Tonight:
    """The verdict and the candidates, the lowest regret first."""

    decision: Decision
    choice: Candidate | None  # what to run tonight; ``None`` where nothing was measured
    headline: str
    reason: str
    rows: tuple[Row, ...]


def decide_tonight(candidates: Sequence[Candidate]) -> Tonight:
    """Compare every candidate with TPE and choose. Raises nothing; what is missing is said in the verdict."""
    baseline = next((c for c in candidates if c.proposer == BASELINE and not c.model and c.regret), None)
    rows = _correct(tuple(_row(c, baseline) for c in candidates))
    rows = tuple(sorted(rows, key=lambda row: (row.regret is None, row.regret or 0.0)))
    models = [row for row in rows if _is_rival(row.candidate)]
    if baseline is None:
        why = (
            f"no run has {BASELINE}, so there is nothing to compare with"
            if candidates
            else "no run of the suite proposer was given"
        )
        return Tonight("cannot tell", None, f"Cannot tell: {why}", _NOTHING, rows)
    winners = [row for row in models if row.p_holm is not None and row.p_holm < ALPHA and (row.gain or 0) > 0]
    if winners:
        best = winners[0]
        unmeasured = "" if any(row.candidate.model for row in rows) else " No model was measured."
        reason = _reason(best, models, winners) + unmeasured
        return Tonight("model", best.candidate, _capital(best.candidate.name), reason, rows)
    ahead = [row for row in models if (row.gain or 0) > 0 and (row.more_seeds or 0) <= MAX_MORE_SEEDS]
    ahead += [row for row in models if row not in ahead and row.paired < MIN_SEEDS]
    if not models:
        return Tonight("tpe", baseline, "TPE alone: no model was measured", "Run the bench with a model too.", rows)
    if ahead:
        best = ahead[0]
        more = best.more_seeds or MIN_SEEDS
        return Tonight("cannot tell", baseline, f"Cannot tell: {plural(more, 'more seed')}", _open(best), rows)
    rival = "model" if any(row.candidate.model for row in models) else "rival"
    return Tonight("tpe", baseline, f"TPE alone: no {rival} beat it", _no_model(models), rows)


_NOTHING = "Run `autoresearch bench run proposer` with tpe, random and each model on the same table and seeds."


def _is_rival(c: Candidate) -> bool:
    """Whether it may be chosen in place of TPE."""
    return bool(c.model) or c.proposer not in (BASELINE, REFERENCE)


def _row(c: Candidate, baseline: Candidate | None) -> Row:
    values = list(c.regret.values())
    paired = sorted(set(c.regret) & set(baseline.regret)) if baseline is not None and c is not baseline else []
    gains = [baseline.regret[seed] - c.regret[seed] for seed in paired] if baseline else []
    gain = fsum(gains) / len(gains) if gains else None
    in_time = _gains_in_time(c, baseline, paired) if baseline else []
    return Row(
        candidate=c,
        seeds=len(values),
        regret=fsum(values) / len(values) if values else None,
        interval=bootstrap_interval(values),
        at_clock=fsum(c.at_clock.values()) / len(c.at_clock) if c.at_clock else None,
        paired=len(paired),
        gain=gain,
        gain_interval=bootstrap_interval(gains),
        clock_gain=fsum(in_time) / len(in_time) if in_time else None,
        clock_interval=bootstrap_interval(in_time),
        p=sign_flip_test(gains) if gains else None,
        p_holm=None,
        seeds_needed=cases_needed(gains, gain) if gain else None,
    )


def _gains_in_time(c: Candidate, baseline: Candidate, seeds: Sequence[int]) -> list[float]:
    both = [seed for seed in seeds if seed in baseline.at_clock and seed in c.at_clock]
    return [baseline.at_clock[seed] - c.at_clock[seed] for seed in both]


def _correct(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Holm's step-down correction over the rivals: the i-th smallest of m values times m - i + 1, not falling."""
    tested = sorted((row.p, n) for n, row in enumerate(rows) if _is_rival(row.candidate) and row.p is not None)
    corrected: dict[int, float] = {}
    highest = 0.0
    for rank, (p, n) in enumerate(tested):
        highest = max(highest, min(1.0, p * (len(tested) - rank)))
        corrected[n] = highest
    return tuple(_with_p(row, corrected.get(n)) for n, row in enumerate(rows))


def _with_p(row: Row, p_holm: float | None) -> Row:
    return replace(row, p_holm=p_holm)


def _reason(best: Row, models: Sequence[Row], winners: Sequence[Row]) -> str:
    text = f"{_gain_text(best)}."
    if len(models) > 1:
        text += f" Corrected for {len(models)} rivals, {describe_p(best.p_holm or 0.0)}."
    if len(winners) > 1:
        others = ", ".join(row.candidate.name for row in winners[1:])
        text += f" {others} also beat TPE; among these the lowest mean regret decides."
    if best.clock_interval and best.clock_interval[1] < 0:
        low, high = best.clock_interval
        text += f" In TPE's time for {TRIALS} trials it is behind: 95% interval of its gain {low:+.4f} to {high:+.4f}."
    return text


def _open(best: Row) -> str:
    if best.paired < MIN_SEEDS and (best.gain or 0) <= 0:
        common = f"{plural(best.paired, 'seed')} in common with TPE"
        return f"{_capital(best.candidate.name)} has {common}; {MIN_SEEDS} are needed."
    more = (
        f"{best.candidate.source or 'its run'} with -k {best.seeds + best.candidate.missing + (best.more_seeds or 0)}"
    )
    return f"{_gain_text(best)}, which may be chance. Continue {more}; until then TPE, which costs nothing."


def _no_model(models: Sequence[Row]) -> str:
    best = models[0]
    text = f"The best model: {_gain_text(best)}."
    if (best.gain or 0) > 0 and best.seeds_needed:
        text += f" It would take about {plural(best.seeds_needed, 'seed')} to show a lead as small as this."
    return text


def _gain_text(row: Row) -> str:
    """The gain over TPE with its numbers."""
    gain = row.gain or 0.0
    interval = ""
    if row.gain_interval:
        low, high = row.gain_interval
        interval = f", 95% interval {low:+.4f} to {high:+.4f}"
    p = f", {describe_p(row.p)}" if row.p is not None else ""
    side = "lower" if gain > 0 else "higher" if gain < 0 else "different"
    return (
        f"{row.candidate.name} has a regret {abs(gain):.4f} {side} than TPE after {TRIALS} trials "
        f"({plural(row.paired, 'seed')}{interval}{p})"
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
