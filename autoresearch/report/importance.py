"""How much of the variation of val_bpb each knob explains, from changes of one knob against a fixed baseline. Pure.

Local parameter importance, as in CAVE (Biedenkapp, Marben, Lindauer, Hutter: "CAVE: Configuration Assessment,
Visualization and Evaluation", LION 12, 2018): around a fixed configuration, the variance of the results over the values
of one knob, divided by the sum of these variances over all knobs. CAVE asks a model for the results; here they are the
measured ones, so no model is fitted, and nothing is said about values or combinations that were not measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import fsum
from statistics import fmean
from textwrap import wrap

from autoresearch.core.values import FrozenModel
from autoresearch.report.format import format_percent, format_share, pad, safe
from autoresearch.report.history import History, Row
from autoresearch.report.table import paint
from rails import ChoiceKnob, Knob, MenuError, parse_menu

ENOUGH_VALUES = 3  # different from the baseline's; fewer where the knob has no more
WORST_GAIN = -0.10  # a result that is worse counts as this: otherwise one diverged trial is all of the variation
TOO_FEW = "n too small"
ABOUT = (
    "How much of the variation of val_bpb goes with each knob: the variance of the gain over the values that were "
    "tried, the baseline's included, as a share of the sum over all knobs (local parameter importance, CAVE 2018). "
    "Losses beyond 10% count as 10%. The noise of the seeds is part of every share."
)
COLUMNS = {"share": 13, "measured": 10, "worst": 10, "best": 9, "values": 8}  # as many as the width has room for
NAME_CELLS = 16


class KnobImportance(FrozenModel):
    """One knob that was measured. Gains are fractions of the baseline's val_bpb, positive is better."""

    knob: str
    measured: int  # candidates
    values: int  # distinct values among them
    worst_gain: float
    best_gain: float
    share: float | None  # of the summed variance of the knobs with enough values; None: this one has too few


def knob_importance(history: History) -> list[KnobImportance]:
    """The knobs that were measured, the most important first; those with too few values last, by their range."""
    rows: dict[str, list[Row]] = {}
    for row in history.rows:
        if row.knob is not None and row.new_value is not None and row.improvement_frac is not None:
            rows.setdefault(row.knob, []).append(row)
    menu = _menu(history)
    gains = {knob: _gains_by_value(measured) for knob, measured in rows.items()}
    variances = {
        knob: _variance([0.0, *by_value])  # 0: the baseline's own value
        for knob, by_value in gains.items()
        if len(by_value) >= min(ENOUGH_VALUES, _other_values(menu.get(knob)))
    }
    whole = fsum(variances.values()) if len(variances) > 1 else 0.0  # of one knob alone the share is 1 by definition
    found = [
        KnobImportance(
            knob=knob,
            measured=len(measured),
            values=len(gains[knob]),
            worst_gain=min(_gains(measured)),
            best_gain=max(_gains(measured)),
            share=variances[knob] / whole if knob in variances and whole > 0 else None,
        )
        for knob, measured in rows.items()
    ]
    return sorted(found, key=lambda k: (k.share is None, -(k.share or 0.0), k.worst_gain - k.best_gain, k.knob))


def importance_block(knobs: Sequence[KnobImportance], width: int, color: bool) -> list[str]:
    """What the figures mean, wrapped to ``width``, a heading and a line per knob; nothing where none was measured."""
    if not knobs:
        return []
    heading = _join("knob", tuple(COLUMNS), width)
    few = [line for text in _few(knobs) for line in wrap(text, width)]
    return [*wrap(ABOUT, width), paint(heading, "dim", color), *(_line(k, width) for k in knobs), *few]


def _line(k: KnobImportance, width: int) -> str:
    share = TOO_FEW if k.share is None else format_share(k.share)
    gains = (format_percent(k.worst_gain), format_percent(k.best_gain))
    return _join(k.knob, (share, str(k.measured), *gains, str(k.values)), width)


def _join(knob: str, cells: Sequence[str], width: int) -> str:
    line = pad(safe(knob, NAME_CELLS - 1), NAME_CELLS)
    for text, room in zip(cells, COLUMNS.values(), strict=True):
        if len(line) + room > width:
            break
        line += text.rjust(room)
    return line


def _few(knobs: Sequence[KnobImportance]) -> list[str]:
    """What a missing share means, if one is missing."""
    few = [k for k in knobs if k.share is None]
    if not few:
        return []
    if len(few) == len(knobs):
        return [f"{TOO_FEW}: a share needs two knobs with at least {ENOUGH_VALUES} measured values each"]
    return [f"{TOO_FEW}: fewer than {ENOUGH_VALUES} measured values, or than the menu has; such a knob is in no share"]


def _gains(rows: Iterable[Row]) -> list[float]:
    return [row.improvement_frac for row in rows if row.improvement_frac is not None]


def _gains_by_value(rows: Sequence[Row]) -> list[float]:
    """The mean gain of each distinct value, to nine digits: one that was measured often does not count more."""
    by_value: dict[str, list[float]] = {}
    for row in rows:
        if row.improvement_frac is not None:
            value = f"{row.new_value:.9g}" if isinstance(row.new_value, float) else str(row.new_value)
            by_value.setdefault(value, []).append(max(WORST_GAIN, row.improvement_frac))
    return [fmean(gains) if len(gains) > 1 else gains[0] for gains in by_value.values()]


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
