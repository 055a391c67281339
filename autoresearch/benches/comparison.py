"""Two runs compared case by case: the difference, its interval, a test, and one sentence of verdict. Pure.

The case is the unit: the mean over the samples of a case is one observation, and the two sides of a case are a pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Literal

from autoresearch.benches.headline import POINTS, is_binary_pair
from autoresearch.benches.statistics.bootstrap import bootstrap_interval
from autoresearch.benches.statistics.detectable import cases_needed, minimum_detectable_effect
from autoresearch.benches.statistics.mcnemar import MIN_DISCORDANT, mcnemar_exact
from autoresearch.benches.statistics.missing import Scores, case_means, count_missing, filled
from autoresearch.benches.statistics.sign_flip import sign_flip_test
from autoresearch.core.text import plural

ALPHA = 0.05
Verdict = Literal["A", "B", "cannot tell"]


@dataclass(frozen=True, slots=True)
class Paired:
    """The scores of two complete sides over the same cases. Differences are B minus A."""

    cases: int
    mean_a: float
    mean_b: float
    difference: float
    interval: tuple[float, float] | None  # 95%, bootstrap over cases; null where no two differences differ
    test: str
    p: float
    detectable: float | None  # minimum detectable effect
    cases_needed: int | None  # to detect a true difference as large as the observed one
    a_higher: int  # cases
    b_higher: int
    verdict: Verdict

    @property
    def sentence(self) -> str:
        """The verdict with its numbers."""
        interval = f"95% interval {points(self.interval[0])} to {points(self.interval[1])}, " if self.interval else ""
        numbers = f"{points(self.difference)} points ({interval}{describe_p(self.p)}, {self.test})"
        over = f"over {plural(self.cases, 'case')}"
        if self.verdict != "cannot tell":
            return f"{self.verdict} scores higher: B minus A is {numbers} {over}."
        return f"Cannot tell which scores higher: B minus A is {numbers} {over}. {self._why()}"

    def _why(self) -> str:
        differing = self.a_higher + self.b_higher
        if not differing:
            return f"All {plural(self.cases, 'case')} have the same score on both sides."
        if differing < MIN_DISCORDANT:
            return (
                f"{plural(differing, 'case')} differ{'s' if differing == 1 else ''}; "
                f"with fewer than {MIN_DISCORDANT} no result reaches p < {ALPHA:g}."
            )
        text = ""
        if self.detectable:
            text = (
                f"A true difference below {POINTS * self.detectable:.1f} points would be missed more often "
                "than in one of five such comparisons."
            )
        if self.cases_needed:
            text += f" A true difference as large as this one needs about {plural(self.cases_needed, 'case')}."
        return text


@dataclass(frozen=True, slots=True)
class Comparison:
    """``paired`` where no sample is missing; else ``bounds``: the least and the greatest difference they leave open."""

    headline: str
    missing_a: int
    missing_b: int
    paired: Paired | None
    bounds: tuple[Paired, Paired] | None
    verdict: Verdict
    sentence: str


def compare_scores(headline: str, a: Scores, b: Scores) -> Comparison:
    """Compare the scores of the same cases, joined by case id. Raises ``ValueError`` where the ids differ.

    With missing samples the verdict is that of both bounds, else "cannot tell": both tests are monotone in each
    difference, so that every completion of the runs then has the same verdict.
    """
    if set(a) != set(b) or not a:
        raise ValueError("two comparable sides have the same cases, and at least one")
    missing = count_missing(a), count_missing(b)
    if not any(missing):
        paired = compare_complete(filled(a, 0.0), filled(b, 0.0))
        return Comparison(headline, 0, 0, paired, None, paired.verdict, paired.sentence)
    low = compare_complete(filled(a, 1.0), filled(b, 0.0))
    high = compare_complete(filled(a, 0.0), filled(b, 1.0))
    verdict: Verdict = low.verdict if low.verdict == high.verdict else "cannot tell"
    return Comparison(headline, *missing, None, (low, high), verdict, _bounded_sentence(low, high, verdict, missing))


def _bounded_sentence(low: Paired, high: Paired, verdict: Verdict, missing: tuple[int, int]) -> str:
    lost = f"{missing[0]:,} samples of A and {missing[1]:,} of B are without a score"
    between = f"B minus A is between {points(low.difference)} and {points(high.difference)} points, because {lost}"
    if verdict != "cannot tell":
        worst = describe_p(max(low.p, high.p))
        return f"{verdict} scores higher, whatever the missing samples are: {between} (at most {worst})."
    return f"Cannot tell which scores higher: {between}. Complete the runs to know more."


def compare_complete(a: Mapping[str, Sequence[float]], b: Mapping[str, Sequence[float]]) -> Paired:
    """The paired comparison of complete scores, in the order of the case ids, so that it is reproducible."""
    means_a, means_b = case_means(a), case_means(b)
    ids = sorted(means_a)
    differences = [means_b[case] - means_a[case] for case in ids]
    a_higher, b_higher = sum(d < 0 for d in differences), sum(d > 0 for d in differences)
    if is_binary_pair(a, b):
        test, p = "McNemar's exact test", mcnemar_exact(a_higher, b_higher)
    else:
        test, p = "sign-flip test", sign_flip_test(differences)
    difference = fsum(differences) / len(differences)
    verdict: Verdict = "cannot tell"
    if p < ALPHA and difference:
        verdict = "B" if difference > 0 else "A"
    return Paired(
        cases=len(ids),
        mean_a=fsum(means_a.values()) / len(ids),
        mean_b=fsum(means_b.values()) / len(ids),
        difference=difference,
        interval=bootstrap_interval(differences) if min(differences) < max(differences) else None,
        test=test,
        p=p,
        detectable=minimum_detectable_effect(differences),
        cases_needed=cases_needed(differences, difference),
        a_higher=a_higher,
        b_higher=b_higher,
        verdict=verdict,
    )


def points(fraction: float) -> str:
    """``+6.0`` percentage points."""
    return f"{POINTS * fraction:+.1f}"


def format_p(p: float) -> str:
    """Two digits, and a bound where p is tiny: ``0.031``, ``< 0.0001``."""
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def describe_p(p: float) -> str:
    """``p = 0.031``, ``p < 0.0001``."""
    return f"p {format_p(p)}" if p < 0.0001 else f"p = {format_p(p)}"
