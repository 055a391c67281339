"""What fresh measurements of one keep change in the audit of its log. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

from autoresearch.core.text import plural, signed_percent
from autoresearch.errors import ConfigError
from autoresearch.report.audit.judge import Keep, Verdict, judge
from autoresearch.verdicts.student_t import upper_tail


@dataclass(frozen=True, slots=True)
class FreshGains:
    """Paired gains of a keep over its baseline on seeds that no decision has seen, fractions of the baseline."""

    keep: Keep  # as the log alone says
    gains: tuple[float, ...]
    interval: tuple[float | None, float | None]  # 95%
    label: str  # as ``autoresearch recheck`` has it
    failures: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "place": self.keep.entry.place,
            "gains_frac": list(self.gains),
            "mean_frac": fmean(self.gains) if self.gains else None,
            "low_frac": self.interval[0],
            "high_frac": self.interval[1],
            "label": self.label,
            "failures": list(self.failures),
            "p_above_zero_of_log": self.keep.p_real,
        }


def find_keep(verdict: Verdict, name: str) -> Keep:
    """The keep of that place, number in its place, or name. Raises ``ConfigError`` for none or several."""
    wanted = name.strip()
    found = [k for k in verdict.keeps if wanted in (k.entry.place, k.entry.place.rpartition(" ")[2], k.entry.name)]
    if len(found) == 1:
        return found[0]
    keeps = ", ".join(keep.entry.place for keep in verdict.keeps[:20]) or "none"
    what = "names several keeps" if found else "is not a keep"
    raise ConfigError(f"--repeat {name!a:.80} {what} of {verdict.log.path}", hint=f"its keeps: {keeps}")


def with_fresh_gains(verdict: Verdict, fresh: FreshGains, noise_frac: float | None) -> Verdict:
    """The audit with the fresh gains as further measurements.

    With a fixed baseline they are repeats of the keep's configuration, and the whole log is judged again. Of a ratchet,
    whose baseline moves, the keep is judged by the fresh gains alone, with a flat prior and Student's t; with fewer
    than two the log's own judgement stays.
    """
    if not fresh.gains:
        return verdict
    entry = fresh.keep.entry
    if verdict.log.loop == "ratchet":
        return _replaced(verdict, entry.place, fresh.gains)
    log = verdict.log
    if not log.pair_sd and len(fresh.gains) < 2:  # with the noise of two measurements it would count as one
        return verdict
    config = entry.config or f"repeated {entry.place}"
    # A paired gain has the noise of both sides: twice the variance of one measurement.
    count = len(fresh.gains) if log.pair_sd else len(fresh.gains) // 2
    again = replace(entry, kept=False, config=config, gain=fmean(fresh.gains), pairs=count)
    entries = tuple(replace(e, config=config) if e.place == entry.place else e for e in log.entries)
    pooled = _pooled(log.pair_sd, log.pair_df, fresh.gains)
    known = None if pooled else (verdict.noise, verdict.noise_from)
    judged = judge(replace(log, entries=(*entries, again), **pooled), noise_frac, verdict.threshold, known)
    keeps = tuple(  # what the log claimed stays as it was
        replace(k, entry=entry, claimed=fresh.keep.claimed) if k.entry.place == entry.place else k for k in judged.keeps
    )
    return replace(judged, keeps=keeps, measured=verdict.measured, distinct=verdict.distinct, log=log)


def _pooled(sd: float | None, df: float, gains: Sequence[float]) -> dict[str, Any]:
    if sd is None or len(gains) < 2:
        return {}
    more = len(gains) - 1
    return {"pair_sd": math.sqrt((sd**2 * df + stdev(gains) ** 2 * more) / (df + more)), "pair_df": df + more}


def _replaced(verdict: Verdict, place: str, gains: Sequence[float]) -> Verdict:
    if len(gains) < 2:
        return verdict
    mean, error = fmean(gains), stdev(gains) / math.sqrt(len(gains))

    def above(limit: float) -> float:
        return upper_tail((limit - mean) / error, len(gains) - 1) if error else float(mean > limit)

    keeps = tuple(
        replace(k, gain=mean, p_real=above(0.0), p_threshold=above(verdict.threshold)) if k.entry.place == place else k
        for k in verdict.keeps
    )
    return replace(verdict, keeps=keeps)


def describe_repeats(fresh: FreshGains) -> str:
    """What the fresh measurements of the keep came to, in one sentence."""
    place = fresh.keep.entry.place
    failed = f"; {plural(len(fresh.failures), 'seed')} failed" if fresh.failures else ""
    if not fresh.gains:
        return f"Measured again, {place} gave no value{failed}."
    low, high = fresh.interval
    span = "" if low is None or high is None else f" (95% interval {signed_percent(low)} to {signed_percent(high)})"
    seeds = plural(len(fresh.gains), "fresh seed")
    return (
        f"Measured again, {place} gains {signed_percent(fmean(fresh.gains))} over {seeds}"
        f"{span}, where it claimed {signed_percent(fresh.keep.claimed)}: {fresh.label}{failed}."
    )
