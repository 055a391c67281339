"""May a running trial still become a keep? Judged by its gap to the baseline's own curve. Pure.

Notation: ``gap(f) = (b(f) - c(f)) / b(f)``, the relative gap of the candidate's loss to that of the baseline on the
same seed at the same fraction f of the budget; ``gain``, the same of the final values; ``needed``, the gain below
which the trial cannot become a keep.

The question is how far behind a trial that ENDS at ``needed`` may have been on its way. Earlier full curves answer it:

1. Of the earlier curves those count whose gain is nearest to ``needed``, because far losers say little about the
   decision: ``ceil(1 / tolerated) - 1`` of them (99 at 1%), or all, if there are fewer.
2. At each 32nd of the budget a line ``gap = a + b gain`` is fitted to them by least squares. It gives the gap that a
   trial which ends at ``needed`` has there, and the spread s of the residuals.
3. Every one of these curves has a peak: how far, at worst, it was behind its own line, in units of s: the maximum over
   the fractions of ``(a + b gain - gap) / (s sqrt(1 - h))``, h being its leverage (studentised residuals; Cook and
   Weisberg, Residuals and Influence in Regression, 1982, section 2.2). One number per curve, so that looking at the
   trial 25 times costs no more than looking once.
4. The running trial's peak is the maximum so far of ``(a + b needed - gap) / (s sqrt(1 + h0))``.
5. ``p`` is the share of peaks that are at least as large, the trial itself counted: ``(1 + #) / (n + 1)``. If the
   trial ends at ``needed`` and is exchangeable with the others, the probability that p ever falls to ``tolerated`` is
   at most ``tolerated``, whatever the distribution (conformal prediction: Vovk, Gammerman and Shafer, Algorithmic
   Learning in a Random World, 2005), but for the fit of the lines, which the studentised residuals correct only in
   part. A trial that would end above ``needed`` is further ahead, so it is lost more rarely.
   With fewer than 99 curves p cannot fall to 1% in this way. Beyond the largest peak the tail is then taken as
   exponential above u, the value below the k largest, k = sqrt(n): ``p = k / (n + 1) exp(-(peak - u) / e)`` with the
   mean excess e two standard errors (``1 + 2 / sqrt(k)``) above its estimate (after Breiman, Stone and Kooperberg,
   Robust confidence bounds for extreme upper quantiles, 1990). That is an assumption, not a guarantee.

Slow starters. No trial is stopped before its own warmup and another eighth of the budget are over. Where the upper
quartile of its knob's peaks is above that of all, the trial's peak is reduced by the difference: a knob whose
candidates start slowly raises its own bar. A trial whose knob has fewer than ``min_kind`` full curves is exchangeable
with knobs, not with curves: its peak is also compared with the largest peak of each knob (step 5 with ten knobs or
more; with fewer it is not stopped). A run (``StopRule.of_run``) is stricter: there a kind is a knob and a direction,
and no trial is stopped before two of its kind have run in full.

What it cannot see: a knob that starts slowly for the first time in a value far from those seen; a baseline whose curve
on a new seed is unlike those on earlier seeds; the selection by its own stops, which leave fewer bad curves to learn
from (the audited ones run on so that this is seen and learned).
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch.verdicts.curves import POINTS, Gaps

MIN_SPREAD = 0.1  # of ``needed``: a spread below it is not believed
MAX_CURVES = 400  # the latest ones are learned from


@dataclass(frozen=True, slots=True)
class StopRule:
    """The constants of the rule. ``tolerated`` is the share of keeps that may be lost."""

    tolerated: float = 0.01
    min_curves: int = 30  # before that no trial is stopped
    min_kind: int = 3  # full curves of the same knob; with fewer the trial is of a new kind
    min_kinds: int | None = 10  # knobs that a trial of a new kind is compared with; None: it is not stopped
    first: float = 0.125  # of the budget, after the trial's own warmup
    last: float = 0.875  # later a stop saves too little
    audit_frac: float = 0.05  # of the would-be stops run on

    @classmethod
    def of_run(cls, tolerated: float, min_curves: int, audit_frac: float) -> StopRule:
        """The rule of a run, where the kind of every trial is known: one of a new kind is not stopped."""
        return cls(tolerated, min_curves, min_kind=2, min_kinds=None, audit_frac=audit_frac)

    @property
    def near_curves(self) -> int:
        """The number of curves near the decision that ``p`` is counted in."""
        return max(self.min_curves, math.ceil(1 / self.tolerated - 1e-9) - 1)


@dataclass(frozen=True, slots=True)
class Curve:
    """A trial that ran in full: its gaps, its final gain, and its kind: its knob, or its configuration."""

    gaps: Gaps
    gain: float
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """``gap = a + b gain`` at one fraction, fitted to ``n`` curves with residual spread ``s``."""

    a: float
    b: float
    s: float
    mean: float  # of the gains
    sxx: float  # sum of their squared deviations
    n: int

    def leverage(self, gain: float) -> float:
        """How much one curve of this gain pulls the line."""
        return 1 / self.n + ((gain - self.mean) ** 2 / self.sxx if self.sxx > 0 else 0.0)

    def behind(self, gap: float, gain: float, *, fitted: bool) -> float:
        """How far ``gap`` is below the line at ``gain``, in standard errors; ``fitted``: the line has seen it."""
        h = self.leverage(gain)
        scale = math.sqrt(max(1 - h, 1 / self.n) if fitted else 1 + h)
        return (self.a + self.b * gain - gap) / (self.s * scale)


@dataclass(frozen=True, slots=True)
class Learned:
    """What the earlier curves say about a trial that ends at ``needed``."""

    rule: StopRule
    needed: float
    lines: tuple[Line | None, ...]  # one per 32nd of the budget; None outside the looks
    curves: tuple[Curve, ...]  # all that were learned from
    peaks: tuple[float, ...]  # of the curves near the decision, ascending
    kinds: dict[str, tuple[int, float]]  # of each knob: its full curves, and by how much more they fall behind
    worst: tuple[float, ...]  # the largest peak of each knob, ascending


@dataclass(frozen=True, slots=True)
class Forecast:
    """The view of a running trial: at most ``p`` of the trials that end at ``needed`` were ever this far behind."""

    stop: bool
    fraction: float
    predicted: float | None  # the gain to expect
    p: float
    curves: int  # that p is counted in
    why: str  # why it is not stopped; empty if it is


def learn(curves: Sequence[Curve], needed: float, rule: StopRule) -> Learned | None:
    """Learn from the full curves of earlier trials on one yardstick; ``None`` while they are too few."""
    known = tuple(curve for curve in curves[-MAX_CURVES:] if _looks(curve.gaps, rule))
    if len(known) < rule.min_curves:
        return None
    near = sorted(known, key=lambda c: abs(c.gain - needed))[: rule.near_curves]
    floor = MIN_SPREAD * abs(needed) or 1e-6
    lines = tuple(_fit(near, k, rule, floor) for k in range(POINTS))
    peaks = sorted(_peak(curve, lines) for curve in near)
    radius = abs(near[-1].gain - needed)
    of_kind: dict[str, list[float]] = {}
    for curve in known:
        distance = max(1.0, abs(curve.gain - needed) / radius if radius > 0 else 1.0)
        of_kind.setdefault(curve.kind, []).append(_peak(curve, lines) / distance)
    usual = _upper_quartile(peaks)
    kinds = {kind: (len(own), max(0.0, _upper_quartile(sorted(own)) - usual)) for kind, own in of_kind.items()}
    worst = sorted(max(own) for own in of_kind.values())
    return Learned(rule, needed, lines, known, tuple(peaks), kinds, tuple(worst))


def forecast(learned: Learned, gaps: Gaps, kind: str = "", warmup_frac: float = 0.0) -> Forecast:
    """Judge a running trial by its gaps so far; ``warmup_frac`` is the share of its budget that it warms up."""
    rule, fraction = learned.rule, len(gaps) / POINTS
    peak = -math.inf
    for k, (gap, line) in enumerate(zip(gaps, learned.lines, strict=False)):
        if gap is not None and line is not None and (k + 1) / POINTS >= warmup_frac + rule.first - 1e-9:
            peak = max(peak, line.behind(gap, learned.needed, fitted=False))
    p = p_of_kind(learned, peak, kind)
    why = _why_not(rule, fraction, peak, p)
    return Forecast(not why, fraction, predict(learned, gaps), p, len(learned.peaks), why)


def p_of_kind(learned: Learned, peak: float, kind: str) -> float:
    """``p`` of a trial of this kind that was ``peak`` standard errors behind at worst (step 5, and slow starters)."""
    count, behind = learned.kinds.get(kind, (0, 0.0))
    p = _p_value(learned.peaks, peak - behind)
    if count >= learned.rule.min_kind:
        return p
    most = learned.rule.min_kinds
    return 1.0 if most is None or len(learned.worst) < most else max(p, _p_value(learned.worst, peak))


def is_audited(run_id: str, trial: int, rule: StopRule) -> bool:
    """Whether a would-be stop of this trial runs on. It depends on run and trial alone: a replay decides the same."""
    digest = hashlib.sha256(f"early stop {run_id} {trial}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < rule.audit_frac * 2**64


def _why_not(rule: StopRule, fraction: float, peak: float, p: float) -> str:
    if peak == -math.inf:
        return "warming up"
    if fraction > rule.last + 1e-9:
        return "nearly done"
    return "" if p <= rule.tolerated else "may still become a keep"


def _upper_quartile(ascending: Sequence[float]) -> float:
    """The upper quartile as an order statistic: of three values the largest."""
    return ascending[min(len(ascending), math.ceil(0.75 * (len(ascending) + 1))) - 1]


def _looks(gaps: Gaps, rule: StopRule) -> list[int]:
    """The places in ``gaps`` at which a trial may be stopped."""
    first, last = math.ceil(POINTS * rule.first - 1e-9), math.floor(POINTS * rule.last + 1e-9)
    return [k for k in range(first - 1, min(last, len(gaps))) if gaps[k] is not None]


def _fit(near: Sequence[Curve], k: int, rule: StopRule, floor: float) -> Line | None:
    points = [(c.gain, gap) for c in near if k in _looks(c.gaps, rule) and (gap := c.gaps[k]) is not None]
    line = fit_line(points, rule.min_curves, floor)
    return line if line is None or line.b >= 0 else fit_line(points, rule.min_curves, floor, flat=True)


def fit_line(points: Sequence[tuple[float, float]], enough: int, floor: float, *, flat: bool = False) -> Line | None:
    """Least squares through (x, y), ``flat`` without a slope; ``None`` for fewer than ``enough`` points."""
    n = len(points)
    if n < max(3, enough):
        return None
    mean_x, mean_y = math.fsum(x for x, _ in points) / n, math.fsum(y for _, y in points) / n
    sxx = math.fsum((x - mean_x) ** 2 for x, _ in points)
    b = 0.0 if flat or sxx <= 0 else math.fsum((x - mean_x) * (y - mean_y) for x, y in points) / sxx
    a = mean_y - b * mean_x
    rss = math.fsum((y - a - b * x) ** 2 for x, y in points)
    return Line(a, b, max(math.sqrt(rss / (n - 2)), floor), mean_x, sxx, n)


def _peak(curve: Curve, lines: Sequence[Line | None]) -> float:
    """How far the curve was behind its own line at worst."""
    return max(
        (
            line.behind(gap, curve.gain, fitted=True)
            for gap, line in zip(curve.gaps, lines, strict=False)
            if gap is not None and line is not None
        ),
        default=-math.inf,
    )


def _p_value(peaks: Sequence[float], peak: float) -> float:
    """The share of curves that were as far behind; beyond the furthest, by the exponential tail."""
    n = len(peaks)
    as_far = n - bisect_left(peaks, peak)
    share = (1 + as_far) / (n + 1)
    if as_far or peak == -math.inf:
        return share
    k = math.isqrt(n)
    start = peaks[n - k - 1]
    excess = math.fsum(p - start for p in peaks[n - k :]) / k * (1 + 2 / math.sqrt(k))
    if not 0 < excess < math.inf:
        return share
    return min(share, k / (n + 1) * math.exp(-(peak - start) / excess))


def predict(learned: Learned, gaps: Gaps) -> float | None:
    """The final gain to expect: on the line ``gain = a + b gap`` through all curves, at the last fraction."""
    gap = gaps[-1] if gaps else None
    if gap is None:
        return None
    k = len(gaps) - 1
    points = [(x, c.gain) for c in learned.curves if len(c.gaps) > k and (x := c.gaps[k]) is not None]
    line = fit_line(points, learned.rule.min_curves, 0.0)
    return None if line is None else line.a + line.b * gap
