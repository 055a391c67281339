"""How much of the variation of val_bpb each knob explains, from changes of one knob against a fixed baseline. Pure.

Local parameter importance, as in CAVE (Biedenkapp, Marben, Lindauer, Hutter: "CAVE: Configuration Assessment,
Visualization and Evaluation", LION 12, 2018): around a fixed configuration, the variance of the results over the values
of one knob, divided by the sum of these variances over all knobs. CAVE asks a model for the results; here they are the
measured ones, so no model is fitted, and nothing is said about values or combinations that were not measured.

By rule sequential gains have different numbers of seeds, and the noise of one is known: what it is expected to add to
each variance is subtracted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import fsum
from statistics import fmean
from textwrap import wrap

from autoresearch.core.values import FrozenModel
from autoresearch.report.format import format_percent, format_share, pad, safe
from autoresearch.report.history import History, Row
from autoresearch.report.table import paint
from autoresearch.verdicts.noise import BASELINE_SHARE
from rails import ChoiceKnob, Knob, MenuError, parse_menu

ENOUGH_VALUES = 3  # different from the baseline's; fewer where the knob has no more
WORST_GAIN = -0.10  # a result that is worse counts as this: otherwise one diverged trial is all of the variation
TOO_FEW = "n too small"
ABOUT = (
    "How much of the variation of {metric} goes with each knob: the variance of the gain over the values that were "
    "tried, the baseline's included, as a share of the sum over all knobs (local parameter importance, CAVE 2018). "
    "Losses beyond 10% count as 10%."
)
WITH_NOISE = "The noise of the seeds is part of every share."
WITHOUT_NOISE = "What the noise of the seeds is expected to add to a variance is subtracted, by the seeds of each gain."
COLUMNS = {
    "share": 13,
    "measured": 10,
    "seeds": 7,
    "worst": 10,
    "best": 9,
    "values": 8,
}  # as many as the width has room for
NAME_CELLS = 16


@dataclass(frozen=True, slots=True)
class _Value:
    """One value of a knob: the mean gain over its seeds, and which seeds these are."""

    gain: float
    seeds: frozenset[int]


class KnobImportance(FrozenModel):
    """One knob that was measured. Gains are fractions of the baseline's val_bpb, positive is better."""

    knob: str
    measured: int  # candidates
    seeds: int  # of all these together
    values: int  # distinct values among them
    worst_gain: float
    best_gain: float
    share: float | None  # of the summed variance of the knobs with enough values; None: this one has too few


def knob_importance(history: History) -> list[KnobImportance]:
    """The knobs that were measured, the most important first; those with too few values last, by their range."""
    rows: dict[str, list[Row]] = {}
    for row in history.rows:
        if row.knob is not None and not row.several and row.new_value is not None and row.improvement_frac is not None:
            rows.setdefault(row.knob, []).append(row)
    menu = _menu(history)
    values = {knob: _by_value(measured) for knob, measured in rows.items()}
    sd = noise_of_gains(history)
    variances = {
        knob: max(0.0, _variance([0.0, *(v.gain for v in found)]) - _expected_noise(found, sd))  # 0: the baseline's own
        for knob, found in values.items()
        if len(found) >= min(ENOUGH_VALUES, _other_values(menu.get(knob)))
    }
    whole = fsum(variances.values()) if len(variances) > 1 else 0.0  # of one knob alone the share is 1 by definition
    numbers = [
        KnobImportance(
            knob=knob,
            measured=len(measured),
            seeds=sum(map(seeds_of, measured)),
            values=len(values[knob]),
            worst_gain=min(_gains(measured)),
            best_gain=max(_gains(measured)),
            share=variances[knob] / whole if knob in variances and whole > 0 else None,
        )
        for knob, measured in rows.items()
    ]
    return sorted(numbers, key=lambda k: (k.share is None, -(k.share or 0.0), k.worst_gain - k.best_gain, k.knob))


def describe_importance(history: History) -> str:
    """What the figures mean in this run."""
    about = ABOUT.format(metric=safe(history.words.name, NAME_CELLS))
    return f"{about} {WITHOUT_NOISE if noise_of_gains(history) else WITH_NOISE}"


def importance_block(knobs: Sequence[KnobImportance], about: str, width: int, color: bool) -> list[str]:
    """``about`` wrapped to ``width``, a heading and a line per knob; one sentence without any share, or nothing."""
    if not knobs:
        return []
    if all(k.share is None for k in knobs):
        return [line for text in few_values(knobs) for line in wrap(text, width)]
    heading = _join("knob", tuple(COLUMNS), width)
    few = [line for text in few_values(knobs) for line in wrap(text, width)]
    return [*wrap(about, width), paint(heading, "dim", color), *(_line(k, width) for k in knobs), *few]


def _line(k: KnobImportance, width: int) -> str:
    share = TOO_FEW if k.share is None else format_share(k.share)
    gains = (format_percent(k.worst_gain), format_percent(k.best_gain))
    return _join(k.knob, (share, str(k.measured), str(k.seeds), *gains, str(k.values)), width)


def _join(knob: str, cells: Sequence[str], width: int) -> str:
    line = pad(safe(knob, NAME_CELLS - 1), NAME_CELLS)
    for text, room in zip(cells, COLUMNS.values(), strict=True):
        if len(line) + room > width:
            break
        line += text.rjust(room)
    return line


def few_values(knobs: Sequence[KnobImportance]) -> list[str]:
    """What a missing share means, if one is missing."""
    few = [k for k in knobs if k.share is None]
    if not few:
        return []
    if len(few) == len(knobs):
        return [f"{TOO_FEW} for any knob: a share needs two knobs with at least {ENOUGH_VALUES} measured values each"]
    return [f"{TOO_FEW}: fewer than {ENOUGH_VALUES} measured values, or than the menu has; such a knob is in no share"]


def _gains(rows: Iterable[Row]) -> list[float]:
    return [row.improvement_frac for row in rows if row.improvement_frac is not None]


def seeds_of(row: Row) -> int:
    """The number of seeds of a measured gain."""
    return len(row.evidence.seeds) if row.evidence else max(1, row.trials)


def noise_of_gains(history: History) -> float | None:
    """The noise of one paired gain that the last verdict used; ``None`` by rule threshold, or if it is not known."""
    known = (row.evidence.sd_frac for row in reversed(history.rows) if row.evidence and row.evidence.df > 0)
    return next(known, None)


def _by_value(rows: Sequence[Row]) -> list[_Value]:
    """The distinct values, to nine digits, with the mean gain of each: one measured often does not count more."""
    held: dict[str, list[Row]] = {}
    for row in rows:
        value = f"{row.new_value:.9g}" if isinstance(row.new_value, float) else str(row.new_value)
        held.setdefault(value, []).append(row)
    return [_value(mine) for mine in held.values()]


def _value(rows: Sequence[Row]) -> _Value:
    """The mean over ``rows``, each of which counts as often as it has seeds."""
    if len(rows) == 1 and rows[0].evidence is None:  # most values of a long run
        return _Value(max(WORST_GAIN, rows[0].improvement_frac or 0.0), frozenset())
    weights = [seeds_of(row) for row in rows]
    gains = [max(WORST_GAIN, gain) for gain in _gains(rows)]
    mean = gains[0] if len(gains) == 1 else fsum(g * n for g, n in zip(gains, weights, strict=True)) / sum(weights)
    return _Value(mean, frozenset(seed for row in rows if row.evidence for seed in row.evidence.seeds))


def _expected_noise(values: Sequence[_Value], sd: float | None) -> float:
    """What noise adds on average to ``_variance`` of these gains and the baseline's 0; 0 where it is not known.

    A mean over n seeds has the variance sd^2 / n, and the baseline's trial at a seed is a part of every gain at it: two
    means over the seeds S and T share sd^2 / 2 |S and T| / (|S| |T|). Summed over all pairs, by seed:
    (sum over seeds of (sum of 1 / n)^2 - sum of 1 / n).
    """
    if sd is None or not all(v.seeds for v in values):
        return 0.0
    own = fsum(1 / len(v.seeds) for v in values)
    by_seed: dict[int, float] = {}
    for v in values:
        for seed in v.seeds:
            by_seed[seed] = by_seed.get(seed, 0.0) + 1 / len(v.seeds)
    shared = BASELINE_SHARE * (fsum(part * part for part in by_seed.values()) - own)
    count = len(values) + 1
    return sd * sd * (own / count - (own + shared) / count**2)


def _variance(values: Sequence[float]) -> float:
    """The population variance; its exact sums do not depend on the order."""
    mean = fmean(values)
    return fsum((value - mean) ** 2 for value in values) / len(values)


def _menu(history: History) -> dict[str, Knob]:
    try:
        return dict(parse_menu(dict(history.menu)).knobs)
    except MenuError:  # of another version
        return {}


def _other_values(knob: Knob | None) -> int:
    """How many values a knob can have beside the baseline's; a large number for a range of floats."""
    if isinstance(knob, ChoiceKnob):
        return max(1, len(knob.choices) - 1)
    return ENOUGH_VALUES
