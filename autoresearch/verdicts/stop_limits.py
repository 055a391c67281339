"""The early stop as a plain list: at each 32nd of the budget the loss above which a running trial is stopped. Pure.

``forecast`` judges a trial by its gaps so far. Everything but these gaps is known when the trial starts, so that the
same judgement can be given beforehand: a process that trains compares one number at a time, and knows nothing of the
statistics. The first loss above its limit is where ``forecast`` would have stopped it (a test compares both).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from autoresearch.verdicts.curves import POINTS
from autoresearch.verdicts.early_stop import Learned, Line, p_of_kind

DECIMALS = 5  # of a limit, as of the losses that it is compared with
BISECTIONS = 80
FURTHEST = 1e6  # standard errors: no trial is stopped that may be further behind than that

Limits = tuple[float | None, ...]  # number n, from 0, is of the part of the budget from n / 32 to (n + 1) / 32


def stop_limits(learned: Learned, baseline: Sequence[float], kind: str = "", warmup_frac: float = 0.0) -> Limits:
    """The limits of a trial; ``baseline``: the loss of the baseline with the same seed, one per 32nd of the budget.

    ``None`` where the trial is not looked at: while it warms up, and in the last part. Empty if it is never stopped.
    """
    if (critical := critical_peak(learned, kind)) is None:
        return ()
    first = warmup_frac + learned.rule.first - 1e-9
    limits = [
        None if line is None or (k + 1) / POINTS < first else _limit(line, learned.needed, critical, loss)
        for k, (line, loss) in enumerate(zip(learned.lines, baseline, strict=False))
    ]
    while limits and limits[-1] is None:
        limits.pop()
    return tuple(limits)


def critical_peak(learned: Learned, kind: str) -> float | None:
    """How far behind, in standard errors, a trial must be to be stopped; ``None`` if it never is."""

    def stops(peak: float) -> bool:
        return p_of_kind(learned, peak, kind) <= learned.rule.tolerated

    low, high = max(-FURTHEST, min(learned.peaks)), max(*learned.peaks, *learned.worst, 1.0)
    while not stops(high):
        low, high = high, 2 * high
        if high > FURTHEST:
            return None
    if stops(low):
        return low
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if stops(middle) else (middle, high)
    return high


def first_above(losses: Sequence[float], limits: Limits) -> int | None:
    """The first part of the budget whose loss is above its limit, or ``None``."""
    pairs = enumerate(zip(losses, limits, strict=False))
    return next((n for n, (loss, limit) in pairs if limit is not None and loss > limit), None)


def _limit(line: Line, needed: float, critical: float, baseline: float) -> float | None:
    """The loss whose gap to ``baseline`` is ``critical`` standard errors below the line at ``needed``."""
    gap = line.a + line.b * needed - critical * line.s * math.sqrt(1 + line.leverage(needed))
    limit = baseline * (1 - gap)
    return round(limit, DECIMALS) if math.isfinite(limit) and limit > 0 else None
