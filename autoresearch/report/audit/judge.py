"""Judge a log: its noise, each keep, and the whole."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autoresearch.report.audit.log import Entry, Log
from autoresearch.report.random_orders import ahead_of_random
from autoresearch.verdicts.audit import ASSUMED_FACTOR, Audit, Noise, audit
from autoresearch.verdicts.keep_posterior import Trial

# SD of one measurement relative to its value, where a log has no repeat: between published trainings of 50M and 124M
# parameters (0.04%) and trials of some seconds (0.3%). The log's own spread corrects it, and --noise replaces it.
ASSUMED_SD = 0.001
THRESHOLD = 0.005
SHARED_SEEDS = 8  # paired gains share half of their noise, the baseline's, over the 4 seeds of a keep


@dataclass(frozen=True, slots=True)
class Keep:
    """One keep, as claimed and as judged. Gains are fractions of the first measurement."""

    entry: Entry
    claimed: float  # against what it was compared with
    gain: float  # to expect
    p_real: float
    p_threshold: float
    repeats: int

    def as_json(self) -> dict[str, Any]:
        return {
            "place": self.entry.place,
            "name": self.entry.name,
            "value": self.entry.value,
            "claimed_frac": self.claimed,
            "gain_frac": self.gain,
            "p_above_zero": self.p_real,
            "p_above_threshold": self.p_threshold,
            "repeats_to_settle": self.repeats,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a log alone says."""

    log: Log
    threshold: float
    noise: Noise
    noise_from: str
    sigma: float
    keeps: tuple[Keep, ...]
    measured: int
    failed: int
    distinct: int | None  # configurations; None where the log does not say
    null_share: float
    ahead_of_random: float | None

    @property
    def kept_trials(self) -> int:
        """How many trials the log kept; ``keeps`` has one of each configuration where trials are independent."""
        return sum(entry.kept for entry in self.log.measured)

    @property
    def expected_false(self) -> float:
        """How many of the keeps are expected to have no gain."""
        return math.fsum(1 - keep.p_real for keep in self.keeps)

    @property
    def claimed(self) -> float:
        """Of a ratchet the sum of the keeps' claims, else the largest one."""
        return _whole(self.log, [keep.claimed for keep in self.keeps])

    @property
    def corrected(self) -> float:
        """The same of the gains to expect."""
        return _whole(self.log, [keep.gain for keep in self.keeps])

    def as_json(self) -> dict[str, Any]:
        return {
            "log": self.log.path,
            "format": self.log.format,
            "metric": self.log.metric,
            "direction": self.log.direction,
            "loop": self.log.loop,
            "threshold_frac": self.threshold,
            "noise_frac": self.sigma,
            "noise_df": self.noise.df,
            "noise_from": self.noise_from,
            "trials": len(self.log.entries),
            "measured": self.measured,
            "failed": self.failed,
            "distinct": self.distinct,
            "repeats": None if self.distinct is None else self.measured - self.distinct,
            "null_share": self.null_share,
            "kept_trials": self.kept_trials,
            "keeps": [keep.as_json() for keep in self.keeps],
            "expected_false_keeps": self.expected_false,
            "claimed_frac": self.claimed,
            "corrected_frac": self.corrected,
            "ahead_of_random": self.ahead_of_random,
            "notes": list(self.log.notes),
        }


def judge(
    log: Log,
    noise_frac: float | None = None,
    threshold: float = THRESHOLD,
    as_before: tuple[Noise, str] | None = None,
) -> Verdict:
    """Judge every keep of a log.

    ``noise_frac`` replaces what the log's own repeats say of the noise, and so does ``as_before``: an earlier
    judgement's noise and where that came from.
    """
    merged = _merged(log)
    noise, source = as_before or _noise(log, noise_frac)
    trials = [Trial(gain, log.loop == "ratchet" and entry.kept, n) for entry, gain, n in merged]
    shared = float(SHARED_SEEDS if log.pair_sd else len(log.baseline))
    found: Audit = audit(trials, noise, threshold, shared)
    keeps = []
    incumbent = 0.0
    for (entry, gain, _), judged in zip(merged, found.judged, strict=True):
        if entry.kept:
            keeps.append(Keep(entry, gain - incumbent, judged.gain, judged.p_real, judged.p_threshold, judged.repeats))
            incumbent = gain if log.loop == "ratchet" else 0.0
    known = [e.config for e in log.measured if e.config is not None]
    gains = [log.gain_of(entry) for entry in log.measured]
    return Verdict(
        log=log,
        threshold=threshold,
        noise=noise,
        noise_from=source,
        sigma=found.sigma,
        keeps=tuple(keeps),
        measured=len(log.measured),
        failed=len(log.entries) - len(log.measured),
        distinct=len(set(known)) if known else None,
        null_share=found.null_share,
        ahead_of_random=ahead_of_random(gains) if log.loop == "fixed" else None,
    )


def _whole(log: Log, gains: Sequence[float]) -> float:
    return math.fsum(gains) if log.loop == "ratchet" else max(gains, default=0.0)


def _merged(log: Log) -> list[tuple[Entry, float, float]]:
    """Each measured trial with its gain and how many measurements that is the mean of.

    Against a fixed baseline every repeat of a configuration is the same change: its mean stands for each of them once,
    at its first keep if it has one.
    """
    if log.loop == "ratchet":
        return [(e, log.gain_of(e), float(e.pairs)) for e in log.measured]
    groups: dict[str, list[Entry]] = {}
    for number, entry in enumerate(log.measured):
        groups.setdefault(entry.config or f"#{number}", []).append(entry)
    merged = []
    for group in groups.values():
        n = sum(e.pairs for e in group)
        mean = math.fsum(log.gain_of(e) * e.pairs for e in group) / n
        shown = next((e for e in group if e.kept), group[0])
        merged.append((shown, mean, float(n)))
    return merged


def _noise(log: Log, given: float | None) -> tuple[Noise, str]:
    """The SD of one measurement (or of one paired gain), and where it comes from."""
    if given is not None:
        return Noise(given), "given"
    if log.pair_sd is not None:
        return Noise(log.pair_sd, log.pair_df), f"paired gains of the log, {log.pair_df:g} degrees of freedom"
    sd, df = _repeats(log)
    if sd and df:
        return Noise(sd, df), f"repeated configurations of the log, {df:g} degrees of freedom"
    return Noise(ASSUMED_SD, factor=ASSUMED_FACTOR), "assumed: the log repeats no configuration"


def _repeats(log: Log) -> tuple[float, float]:
    """The pooled SD of repeated measurements, relative to the first configuration's, and its degrees of freedom."""
    counts = Counter(e.config for e in log.measured if e.config is not None)
    first = log.baseline_config
    repeated = [c for c, n in counts.items() if n > 1 and c != first]
    groups = [[*log.baseline, *(e.value for e in log.measured if first and e.config == first and e.value is not None)]]
    groups.extend([e.value for e in log.measured if e.config == c and e.value is not None] for c in repeated)
    squares, df = 0.0, 0
    for values in groups:
        mean = math.fsum(values) / len(values)
        squares += math.fsum((v - mean) ** 2 for v in values)
        df += len(values) - 1
    return (math.sqrt(squares / df) / abs(log.reference), float(df)) if df else (0.0, 0.0)
